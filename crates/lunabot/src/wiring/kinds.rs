//! Everything that a configuration may declare: the lists of all rooms, joined.

use lunabot_model::Kind;

/// All kinds, each path once.
pub fn all() -> Vec<&'static Kind> {
    let mut kinds: Vec<&'static Kind> = lunabot_model::kinds::KINDS.iter().collect();
    kinds.extend(lunabot_engine::worker::KINDS);
    kinds.extend(lunabot_engine::scheduler::KINDS);
    kinds.extend(lunabot_engine::command::KINDS);
    kinds.extend(lunabot_engine::step::OBSERVERS);
    kinds.extend(lunabot_engine::services::KINDS);

    kinds.extend(lunabot_steps::kinds());
    kinds.extend(lunabot_integrations::kinds());
    kinds.extend(lunabot_www::KINDS);
    kinds
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_two_rooms_declare_the_same() {
        let mut seen = std::collections::BTreeSet::new();
        for kind in super::all() {
            assert!(seen.insert(kind.path()), "{} is declared twice", kind.path());
        }
    }
}
