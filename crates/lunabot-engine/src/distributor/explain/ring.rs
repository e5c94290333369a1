//! The last answers to a question that is asked again and again, in bounded memory.

use lunabot_model::Mono;

/// So many different answers are kept; the one that was given least recently goes first.
const KEPT: usize = 8;

/// An answer, however often it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<T> {
    pub answer: T,
    /// When it was first given.
    pub since: Mono,
    /// When it was last given.
    pub last: Mono,
    /// When another answer took its place; `None`: it holds.
    pub until: Option<Mono>,
    pub times: u32,
}

/// Different answers, in the order in which they were last given.
#[derive(Debug, Clone)]
pub struct Ring<T>(Vec<Entry<T>>);

impl<T> Default for Ring<T> {
    fn default() -> Self {
        Ring(Vec::new())
    }
}

impl<T: PartialEq> Ring<T> {
    /// Notes an answer. Those that `replaced` accepts hold no longer.
    pub fn note(&mut self, now: Mono, answer: T, replaced: impl Fn(&T) -> bool) {
        if let Some(newest) = self.0.last_mut()
            && newest.answer == answer
            && newest.until.is_none()
        {
            newest.last = now;
            newest.times = newest.times.saturating_add(1);
            return;
        }
        let known = self.0.iter().position(|entry| entry.answer == answer);
        let mut entry = match known {
            Some(at) => self.0.remove(at),
            None => Entry { answer, since: now, last: now, until: None, times: 0 },
        };
        for other in self.0.iter_mut().filter(|other| other.until.is_none() && replaced(&other.answer)) {
            other.until = Some(now);
        }
        (entry.last, entry.until) = (now, None);
        entry.times = entry.times.saturating_add(1);
        if self.0.len() == KEPT {
            self.0.remove(0);
        }
        self.0.push(entry);
    }

    /// Takes over what was answered later; equal answers become one.
    pub fn absorb(&mut self, later: &Ring<T>)
    where
        T: Clone,
    {
        for entry in &later.0 {
            let mut entry = entry.clone();
            if let Some(at) = self.0.iter().position(|old| old.answer == entry.answer) {
                let old = self.0.remove(at);
                if old.since < entry.since {
                    entry.since = old.since;
                    entry.times = entry.times.saturating_add(old.times);
                }
            }
            self.0.push(entry);
        }
        self.0.drain(..self.0.len().saturating_sub(KEPT));
    }

    /// Nothing that was answered holds any longer.
    pub fn end(&mut self, now: Mono) {
        for entry in self.0.iter_mut().filter(|entry| entry.until.is_none()) {
            entry.until = Some(now);
        }
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Entry<T>> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(secs: u64) -> Mono {
        Mono(Duration::from_secs(secs))
    }

    fn shown<T: PartialEq + Copy>(ring: &Ring<T>) -> Vec<(T, u64, Option<u64>, u32)> {
        let secs = |time: Mono| time.0.as_secs();
        ring.iter().map(|e| (e.answer, secs(e.since), e.until.map(secs), e.times)).collect()
    }

    #[test]
    fn equal_answers_are_one() {
        let mut ring = Ring::default();
        for (now, answer) in [(1, 'a'), (2, 'a'), (5, 'b'), (6, 'b'), (9, 'a')] {
            ring.note(at(now), answer, |_| true);
        }
        assert_eq!(shown(&ring), [('b', 5, Some(9), 2), ('a', 1, None, 3)], "again: it holds again");
        ring.end(at(11));
        assert_eq!(shown(&ring)[1], ('a', 1, Some(11), 3));
        ring.note(at(12), 'a', |_| true);
        assert_eq!(shown(&ring)[1], ('a', 1, None, 4));
    }

    #[test]
    fn answers_about_something_else_go_on() {
        let mut ring = Ring::default();
        for (now, about, answer) in [(1, 1, false), (2, 2, false), (3, 1, true), (4, 2, false)] {
            ring.note(at(now), (about, answer), |other| other.0 == about);
        }
        assert_eq!(
            shown(&ring),
            [((1, false), 1, Some(3), 1), ((1, true), 3, None, 1), ((2, false), 2, None, 2)]
        );
    }

    #[test]
    fn what_was_answered_before_goes_on_with_what_is_answered_later() {
        let ring = |answers: &[(u64, char)]| {
            let mut ring = Ring::default();
            answers.iter().for_each(|(now, answer)| ring.note(at(*now), *answer, |_| true));
            ring
        };
        let mut before = ring(&[(1, 'a'), (2, 'b')]);
        before.end(at(3));
        let later = ring(&[(5, 'b'), (6, 'c')]);
        before.absorb(&later);
        let wanted = [('a', 1, Some(2), 1), ('b', 2, Some(6), 2), ('c', 6, None, 1)];
        assert_eq!(shown(&before), wanted);
        before.absorb(&later);
        assert_eq!(shown(&before).len(), 3);
    }

    #[test]
    fn what_was_given_least_recently_is_forgotten() {
        let mut ring = Ring::default();
        for number in 0..1000 {
            ring.note(at(number), number, |_| true);
            ring.note(at(number), u64::MAX, |_| true);
        }
        let kept: Vec<u64> = ring.iter().map(|entry| entry.answer).collect();
        assert_eq!(kept, [993, 994, 995, 996, 997, 998, 999, u64::MAX]);
        assert_eq!(ring.iter().next_back().map(|entry| entry.times), Some(1000));
    }
}
