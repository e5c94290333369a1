//! What of the program's own file is mapped.
//!
//! Starting runs through much of the program once, and the system maps its file in blocks around what runs: most of what a
//! small master or a worker has resident is code that it does not need any more.

use std::io::{Error, Result};
use std::ptr;

/// Lets the system take back the program's code; what is needed is mapped again when it runs, from the page cache.
pub fn give_back() {
    if let Err(error) = try_to() {
        tracing::debug!("the code that only starting needs stays resident: {error}");
    }
}

fn try_to() -> Result<()> {
    let program = std::fs::read_link("/proc/self/exe")?;
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let program = program.to_string_lossy();
    for (start, length) in maps.lines().filter_map(|line| code(line, &program)) {
        drop_pages(start, length)?;
    }
    Ok(())
}

/// Start and length of a mapping, if it is code of `program`.
fn code(line: &str, program: &str) -> Option<(usize, usize)> {
    let (range, rest) = line.split_once(' ')?;
    if !rest.starts_with("r-xp ") || !rest.ends_with(program) {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    Some((start, end.checked_sub(start)?))
}

#[expect(unsafe_code, reason = "pages that are read from the program's file only, never written")]
fn drop_pages(start: usize, length: usize) -> Result<()> {
    // SAFETY: the mapping is private, of a file and not writable (`r-xp`): a page that is dropped is read again unchanged.
    let failed =
        unsafe { libc::madvise(ptr::with_exposed_provenance_mut(start), length, libc::MADV_DONTNEED) };
    if failed == 0 { Ok(()) } else { Err(Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn only_code_of_the_program_is_given_back() {
        let line = "55e0a000-55e0c000 r-xp 0022b000 fe:00 1234                       /usr/bin/lunabot";
        assert_eq!(code(line, "/usr/bin/lunabot"), Some((0x55e0_a000, 0x2000)));
        for other in [line.replace("r-xp", "rw-p"), line.replace("lunabot", "libc.so.6"), String::new()] {
            assert!(code(&other, "/usr/bin/lunabot").is_none(), "{other}");
        }
    }

    #[test]
    fn what_is_not_running_is_resident_no_more() {
        let program = std::fs::read_link("/proc/self/exe").unwrap();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let (start, length) = maps.lines().find_map(|line| code(line, program.to_str().unwrap())).unwrap();
        // Reading all of it maps all of it.
        let memory = std::fs::File::open("/proc/self/mem").unwrap();
        memory.read_exact_at(&mut vec![0; length], start as u64).unwrap();
        let before = resident(start);
        try_to().unwrap();
        assert!(resident(start) < before / 2, "{before} KB");
    }

    /// KB of the mapping at `start`.
    fn resident(start: usize) -> u64 {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let (_, of_it) = maps.split_once(&format!("\n{start:x}-")).unwrap();
        let rss = of_it.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap();
        rss.trim().strip_suffix(" kB").unwrap().parse().unwrap()
    }
}
