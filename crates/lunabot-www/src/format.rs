//! Numbers and times as people read them.

use jiff::Timestamp;

pub use lunabot_model::text::duration;

/// `Wed, 01 Jan 2025 00:00:00 GMT`, for headers.
pub fn http_date(secs: i64) -> String {
    at(secs).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// `2025-01-01 00:00:00 UTC`.
pub fn exact(secs: i64) -> String {
    at(secs).strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// `2025-01-01T00:00:00Z`, for `<time datetime>`.
pub fn iso(secs: i64) -> String {
    at(secs).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(secs).unwrap_or_default()
}

/// `just now`, `5 min ago`, `3 h ago`, `2 days ago`; of the future, `in 5 min`.
pub fn ago(secs: i64, now: i64) -> String {
    let distance = (now - secs).abs();
    let text = match distance {
        0..10 => return "just now".into(),
        10..60 => format!("{distance} s"),
        60..3600 => format!("{} min", distance / 60),
        3600..86_400 => format!("{} h", distance / 3600),
        86_400..172_800 => "1 day".into(),
        _ => format!("{} days", distance / 86_400),
    };
    if secs <= now { format!("{text} ago") } else { format!("in {text}") }
}

/// A time that was measured, in seconds, in few figures: `1.3 s`, `25 ms`, `7.5 µs`.
pub fn spent(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s >= 1.0 => (s, "s"),
        s if s >= 1e-3 => (s * 1e3, "ms"),
        s => (s * 1e6, "µs"),
    };
    if value < 10.0 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

/// `512 B`, `1.5 KB`, `3.2 GB`.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["KB", "MB", "GB", "TB", "PB"];
    if n < 1024 {
        return format!("{n} B");
    }
    let (mut size, mut unit) = (n as f64 / 1024.0, 0);
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measured_times_are_short() {
        let told = [0.0, 7.54e-6, 0.000_25, 0.025, 1.34, 4000.0].map(spent);
        assert_eq!(told, ["0.0 µs", "7.5 µs", "250 µs", "25 ms", "1.3 s", "4000 s"]);
    }

    #[test]
    fn durations_and_distances() {
        let table = [(-5, "0 s"), (45, "45 s"), (72, "1 m 12 s"), (7500, "2 h 5 m"), (273_600, "3 d 4 h")];
        for (secs, text) in table {
            assert_eq!(duration(secs), text);
        }
        assert_eq!(ago(100, 105), "just now");
        assert_eq!(ago(100, 400), "5 min ago");
        assert_eq!(ago(7300, 100), "in 2 h");
        assert_eq!(bytes(1536), "1.5 KB");
        assert_eq!(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(exact(i64::MAX), "1970-01-01 00:00:00 UTC");
    }
}
