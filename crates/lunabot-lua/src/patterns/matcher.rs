//! Lua's patterns (reference manual of Lua 5.4, § 6.4.1), matched within a budget.
//!
//! The stock functions match inside one C call, where nothing can stop them: two repetitions over a long text
//! take hours. This matcher counts its steps and asks every so often whether it may go on.

/// Captures of one pattern, and how deep a match may nest: Lua's own limits.
const MAX_CAPTURES: usize = 32;
const MAX_DEPTH: usize = 200;
/// Steps between two questions.
const STEPS: u32 = 20_000;

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure<E> {
    /// The pattern is malformed, in Lua's words.
    Malformed(String),
    /// The budget is used up.
    Stopped(E),
}

/// What a pair of parentheses caught.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capture {
    Range(usize, usize),
    /// `()`: where it stands, from 0.
    Position(usize),
    Open(usize),
}

/// One match: where, and its captures.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    pub start: usize,
    pub end: usize,
    pub captures: Vec<Capture>,
}

type Step<E> = Result<Option<usize>, Failure<E>>;

/// A pattern over a text.
pub struct Matcher<'a, E> {
    text: &'a [u8],
    pattern: &'a [u8],
    captures: Vec<Capture>,
    depth: usize,
    steps: u32,
    may_go_on: &'a dyn Fn() -> Result<(), E>,
}

fn malformed<T, E>(text: &str) -> Result<T, Failure<E>> {
    Err(Failure::Malformed(text.to_string()))
}

impl<'a, E> Matcher<'a, E> {
    /// `pattern` without the `^` of an anchored one.
    pub fn new(text: &'a [u8], pattern: &'a [u8], may_go_on: &'a dyn Fn() -> Result<(), E>) -> Self {
        Matcher { text, pattern, captures: Vec::new(), depth: 0, steps: 0, may_go_on }
    }

    /// The match that begins at `start`, if there is one.
    pub fn at(&mut self, start: usize) -> Result<Option<Found>, Failure<E>> {
        self.captures.clear();
        self.depth = 0;
        let Some(end) = self.from(start, 0)? else { return Ok(None) };
        if self.captures.iter().any(|capture| matches!(capture, Capture::Open(_))) {
            return malformed("unfinished capture");
        }
        Ok(Some(Found { start, end, captures: self.captures.clone() }))
    }

    fn step(&mut self) -> Result<(), Failure<E>> {
        self.steps += 1;
        if self.steps >= STEPS {
            self.steps = 0;
            (self.may_go_on)().map_err(Failure::Stopped)?;
        }
        Ok(())
    }

    /// Matches the pattern from `p` on at `s`; where the match ends.
    fn from(&mut self, s: usize, p: usize) -> Step<E> {
        if self.depth >= MAX_DEPTH {
            return malformed("pattern too complex");
        }
        self.depth += 1;
        let ended = self.sequence(s, p);
        self.depth -= 1;
        ended
    }

    fn sequence(&mut self, mut s: usize, mut p: usize) -> Step<E> {
        loop {
            self.step()?;
            let Some(&first) = self.pattern.get(p) else { return Ok(Some(s)) };
            let second = self.pattern.get(p + 1).copied();
            match (first, second) {
                (b'(', Some(b')')) => return self.open(s, p + 2, Capture::Position(s)),
                (b'(', _) => return self.open(s, p + 1, Capture::Open(s)),
                (b')', _) => return self.close(s, p + 1),
                (b'$', None) => return Ok((s == self.text.len()).then_some(s)),
                (b'%', Some(b'b')) => match self.balance(s, p + 2)? {
                    Some(end) => (s, p) = (end, p + 4),
                    None => return Ok(None),
                },
                (b'%', Some(b'f')) => match self.frontier(s, p + 2)? {
                    Some(next) => p = next,
                    None => return Ok(None),
                },
                (b'%', Some(digit @ b'0'..=b'9')) => match self.again(s, digit)? {
                    Some(end) => (s, p) = (end, p + 2),
                    None => return Ok(None),
                },
                _ => {
                    let next = self.class_end(p)?;
                    match self.pattern.get(next) {
                        Some(b'?') => {
                            if self.one(s, p, next)
                                && let Some(end) = self.from(s + 1, next + 1)?
                            {
                                return Ok(Some(end));
                            }
                            p = next + 1;
                        }
                        Some(b'+') => {
                            return if self.one(s, p, next) { self.most(s + 1, p, next) } else { Ok(None) };
                        }
                        Some(b'*') => return self.most(s, p, next),
                        Some(b'-') => return self.fewest(s, p, next),
                        _ if self.one(s, p, next) => (s, p) = (s + 1, next),
                        _ => return Ok(None),
                    }
                }
            }
        }
    }

    fn open(&mut self, s: usize, p: usize, capture: Capture) -> Step<E> {
        if self.captures.len() >= MAX_CAPTURES {
            return malformed("too many captures");
        }
        let level = self.captures.len();
        self.captures.push(capture);
        let ended = self.from(s, p)?;
        if ended.is_none() {
            self.captures.truncate(level);
        }
        Ok(ended)
    }

    fn close(&mut self, s: usize, p: usize) -> Step<E> {
        let open = self.captures.iter().rposition(|capture| matches!(capture, Capture::Open(_)));
        let Some(level) = open else { return malformed("invalid pattern capture") };
        let Capture::Open(start) = self.captures[level] else { return Ok(None) };
        self.captures[level] = Capture::Range(start, s);
        let ended = self.from(s, p)?;
        if ended.is_none() {
            self.captures[level] = Capture::Open(start);
        }
        Ok(ended)
    }

    /// As many as possible, then fewer.
    fn most(&mut self, s: usize, p: usize, class_end: usize) -> Step<E> {
        let mut count = 0;
        while self.one(s + count, p, class_end) {
            self.step()?;
            count += 1;
        }
        loop {
            let ended = self.from(s + count, class_end + 1)?;
            if ended.is_some() || count == 0 {
                return Ok(ended);
            }
            count -= 1;
        }
    }

    /// As few as possible, then more.
    fn fewest(&mut self, mut s: usize, p: usize, class_end: usize) -> Step<E> {
        loop {
            let ended = self.from(s, class_end + 1)?;
            if ended.is_some() {
                return Ok(ended);
            }
            if !self.one(s, p, class_end) {
                return Ok(None);
            }
            s += 1;
        }
    }

    /// `%bxy`.
    fn balance(&mut self, s: usize, p: usize) -> Step<E> {
        let (Some(&begin), Some(&end)) = (self.pattern.get(p), self.pattern.get(p + 1)) else {
            return malformed("malformed pattern (missing arguments to '%b')");
        };
        if self.text.get(s) != Some(&begin) {
            return Ok(None);
        }
        let mut open = 1;
        for at in s + 1..self.text.len() {
            self.step()?;
            let byte = self.text[at];
            if byte == end {
                open -= 1;
                if open == 0 {
                    return Ok(Some(at + 1));
                }
            } else if byte == begin {
                open += 1;
            }
        }
        Ok(None)
    }

    /// `%f[set]`: where the pattern goes on.
    fn frontier(&mut self, s: usize, p: usize) -> Step<E> {
        if self.pattern.get(p) != Some(&b'[') {
            return malformed("missing '[' after '%f' in pattern");
        }
        let end = self.class_end(p)?;
        let before = if s == 0 { 0 } else { self.text[s - 1] };
        let here = self.text.get(s).copied().unwrap_or(0);
        let fits = !self.in_set(before, p, end) && self.in_set(here, p, end);
        Ok(fits.then_some(end))
    }

    /// `%1`: the same text again.
    fn again(&mut self, s: usize, digit: u8) -> Step<E> {
        let index = usize::from(digit).wrapping_sub(usize::from(b'1'));
        match self.captures.get(index) {
            Some(&Capture::Range(start, end)) => {
                let caught = &self.text[start..end];
                Ok(self.text[s..].starts_with(caught).then_some(s + caught.len()))
            }
            Some(Capture::Position(_)) => Ok(None),
            Some(Capture::Open(_)) | None => {
                malformed(&format!("invalid capture index %{}", index.wrapping_add(1)))
            }
        }
    }

    /// Where the class that begins at `p` ends.
    fn class_end(&self, p: usize) -> Result<usize, Failure<E>> {
        match self.pattern[p] {
            b'%' if p + 1 >= self.pattern.len() => malformed("malformed pattern (ends with '%')"),
            b'%' => Ok(p + 2),
            b'[' => {
                let mut at = p + 1 + usize::from(self.pattern.get(p + 1) == Some(&b'^'));
                loop {
                    // The first may be a `]`.
                    match self.pattern.get(at) {
                        None => return malformed("malformed pattern (missing ']')"),
                        Some(b'%') => at += 2,
                        Some(_) => at += 1,
                    }
                    if self.pattern.get(at) == Some(&b']') {
                        return Ok(at + 1);
                    }
                }
            }
            _ => Ok(p + 1),
        }
    }

    /// Whether the byte at `s` is of the class from `p` to `end`.
    fn one(&self, s: usize, p: usize, end: usize) -> bool {
        let Some(&byte) = self.text.get(s) else { return false };
        match self.pattern[p] {
            b'.' => true,
            b'%' => in_class(byte, self.pattern[p + 1]),
            b'[' => self.in_set(byte, p, end),
            literal => literal == byte,
        }
    }

    /// Whether a byte is in the set `[…]` from `p` to `end`.
    fn in_set(&self, byte: u8, p: usize, end: usize) -> bool {
        let negated = self.pattern.get(p + 1) == Some(&b'^');
        let set = &self.pattern[p + 1 + usize::from(negated)..end - 1];
        let mut at = 0;
        while at < set.len() {
            let hit;
            if set[at] == b'%' && at + 1 < set.len() {
                hit = in_class(byte, set[at + 1]);
                at += 2;
            } else if at + 2 < set.len() && set[at + 1] == b'-' {
                hit = (set[at]..=set[at + 2]).contains(&byte);
                at += 3;
            } else {
                hit = set[at] == byte;
                at += 1;
            }
            if hit {
                return !negated;
            }
        }
        negated
    }
}

/// `%a` and the like; a capital is the opposite, anything else stands for itself.
fn in_class(byte: u8, class: u8) -> bool {
    let within = match class.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'g' => byte.is_ascii_graphic(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => byte.is_ascii_whitespace() || byte == 0x0b,
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        _ => return class == byte,
    };
    within != class.is_ascii_uppercase()
}
