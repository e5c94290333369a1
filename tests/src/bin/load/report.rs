//! What is printed: one line per figure, medians, units.

/// Begins a scenario.
#[expect(clippy::print_stdout, reason = "the figures are the output of this program")]
pub fn title(name: &str) {
    println!("\n{name}");
}

/// One figure.
#[expect(clippy::print_stdout, reason = "the figures are the output of this program")]
pub fn figure(name: &str, value: f64, unit: &str) {
    let digits = if value.abs() >= 100.0 { 0 } else { 2 };
    println!("  {name:<56} {value:>12.digits$} {unit}");
}

/// The value in the middle, and the one that 99 % stay under. Empty lists give zeros.
pub fn median_and_p99(values: &mut [f64]) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let index = ((values.len() as f64 - 1.0) * share).round().max(0.0) as usize;
        values.get(index).copied().unwrap_or_default()
    };
    (at(0.5), at(0.99))
}
