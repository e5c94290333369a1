//! Comparing secrets.

/// Whether two byte strings are the same; how long it takes tells their lengths at most.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    let differences = a.iter().zip(b).fold(0, |found, (a, b)| found | (a ^ b));
    std::hint::black_box(differences) == 0 && a.len() == b.len()
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn only_equal_bytes_are_the_same() {
        for (a, b, wanted) in
            [("", "", true), ("a", "a", true), ("a", "b", false), ("a", "ab", false), ("ab", "", false)]
        {
            assert_eq!(same(a.as_bytes(), b.as_bytes()), wanted, "{a:?} {b:?}");
        }
    }
}
