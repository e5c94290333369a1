//! What two commits have in common (09.043).

use super::{Answer, parse, path};
use crate::data::Data;
use crate::error::Result;
use lunabot_db::Value;
use lunabot_db::endpoints::Found;
use lunabot_model::Id;
use lunabot_model::resources::CommitGraph;
use lunabot_model::result_spec::{FieldKind, FieldSpec};

/// How far back is looked.
const DEPTH: i64 = 1000;

const FIELDS: &[FieldSpec] = &[
    FieldSpec { name: "common", kind: FieldKind::Int },
    FieldSpec { name: "to1", kind: FieldKind::Ints },
    FieldSpec { name: "to2", kind: FieldKind::Ints },
];

impl Data {
    pub(super) async fn commit_graph(&self, found: &Found, query: &str) -> Result<Answer> {
        let spec = parse(query, FIELDS, false)?;
        let [Value::Int(codebase), Value::Int(first), Value::Int(second)] = found.args.as_slice() else {
            return Err(path::absent(found));
        };
        let store = &self.shared.store;
        let one = store.line_of_commit(*codebase, *first, DEPTH).await?;
        let two = store.line_of_commit(*codebase, *second, DEPTH).await?;
        let graph = graph(one, two).ok_or_else(|| path::absent(found))?;
        let mut item = super::json(&graph);
        spec.project(&mut item);
        Ok(Answer::One { plural: "commit_graphs", item })
    }
}

/// From the lines back from two commits.
fn graph(mut one: Vec<Id>, mut two: Vec<Id>) -> Option<CommitGraph> {
    let at = two.iter().position(|id| one.contains(id))?;
    let common = two[at];
    two.truncate(at + 1);
    one.truncate(one.iter().position(|id| *id == common)? + 1);
    one.reverse();
    two.reverse();
    Some(CommitGraph { common, to1: one, to2: two })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_09_043_the_newest_common_commit_and_the_ways_from_it() {
        let ask = |one: &[Id], two: &[Id]| graph(one.into(), two.into()).map(|g| (g.common, g.to1, g.to2));
        assert_eq!(ask(&[5, 3, 2, 1], &[6, 4, 2, 1]), Some((2, vec![2, 3, 5], vec![2, 4, 6])));
        assert_eq!(ask(&[3, 2, 1], &[2, 1]), Some((2, vec![2, 3], vec![2])));
        assert_eq!(ask(&[2, 1], &[2, 1]), Some((2, vec![2], vec![2])));
        assert_eq!(ask(&[1], &[2]), None);
        assert_eq!(ask(&[], &[2]), None);
    }
}
