//! One line of terminal output as safe HTML: colours become spans with classes, every other control sequence vanishes.
//!
//! Each line starts plain, so that any range of a log looks the same however it was reached.

/// Longest part of a line that is shown, in characters; the rest is in the raw log.
const MAX_LINE: usize = 4000;

/// A rendered line.
#[derive(Debug, PartialEq, Eq)]
pub struct Rendered {
    pub html: String,
    /// The text without its control sequences, cut like `html`.
    pub text: String,
    /// Characters left out at the end.
    pub cut: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Style {
    fg: Option<u8>,
    bg: Option<u8>,
    bold: bool,
    dim: bool,
    italic: bool,
    underline: bool,
}

pub fn render(line: &str) -> Rendered {
    let mut out = Writer::default();
    let mut chars = line.chars();
    let mut cut = 0;
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => escape(&mut chars, &mut out.wanted),
            '\t' if out.count < MAX_LINE => out.push('\t'),
            c if c.is_control() => {}
            _ if out.count >= MAX_LINE => cut += 1,
            c => out.push(c),
        }
    }
    out.close();
    Rendered { html: out.html, text: out.text, cut }
}

#[derive(Default)]
struct Writer {
    html: String,
    text: String,
    count: usize,
    wanted: Style,
    open: Style,
}

impl Writer {
    fn push(&mut self, c: char) {
        if self.open != self.wanted {
            self.close();
            if self.wanted != Style::default() {
                self.html.push_str(&format!("<span class=\"{}\">", classes(self.wanted)));
            }
            self.open = self.wanted;
        }
        match c {
            '<' => self.html.push_str("&lt;"),
            '>' => self.html.push_str("&gt;"),
            '&' => self.html.push_str("&amp;"),
            '"' => self.html.push_str("&quot;"),
            '\'' => self.html.push_str("&#39;"),
            // Marks that turn the reading direction round could make a line lie.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => self.html.push('\u{fffd}'),
            c => self.html.push(c),
        }
        self.text.push(c);
        self.count += 1;
    }

    fn close(&mut self) {
        if self.open != Style::default() {
            self.html.push_str("</span>");
        }
        self.open = Style::default();
    }
}

fn classes(style: Style) -> String {
    let mut all = Vec::new();
    all.extend(style.fg.map(|n| format!("f{n}")));
    all.extend(style.bg.map(|n| format!("b{n}")));
    let flags = [(style.bold, "bo"), (style.dim, "di"), (style.italic, "it"), (style.underline, "un")];
    all.extend(flags.iter().filter(|(on, _)| *on).map(|(_, class)| (*class).to_string()));
    all.join(" ")
}

/// Reads a sequence after its ESC; a colour changes `style`.
fn escape(chars: &mut std::str::Chars, style: &mut Style) {
    let ahead = chars.clone().next();
    match ahead {
        Some('[') => {
            chars.next();
            let mut parameters = String::new();
            for c in chars.by_ref() {
                match c {
                    '0'..='9' | ';' | ':' => parameters.push(c),
                    '@'..='~' => {
                        if c == 'm' {
                            set(style, &parameters);
                        }
                        return;
                    }
                    _ => {}
                }
            }
        }
        // Titles and hyperlinks: up to BEL or ESC \.
        Some(']' | 'P' | '_' | '^') => {
            let mut last = ' ';
            for c in chars.by_ref() {
                if c == '\u{7}' || (last == '\u{1b}' && c == '\\') {
                    return;
                }
                last = c;
            }
        }
        Some('(' | ')' | '#') => {
            chars.next();
            chars.next();
        }
        Some(_) => {
            chars.next();
        }
        None => {}
    }
}

/// Applies SGR parameters.
fn set(style: &mut Style, parameters: &str) {
    let mut codes = parameters.split([';', ':']).map(|p| p.parse::<u16>().unwrap_or(0));
    while let Some(code) = codes.next() {
        match code {
            0 => *style = Style::default(),
            1 => style.bold = true,
            2 => style.dim = true,
            3 => style.italic = true,
            4 => style.underline = true,
            22 => (style.bold, style.dim) = (false, false),
            23 => style.italic = false,
            24 => style.underline = false,
            30..=37 => style.fg = Some((code - 30) as u8),
            38 => style.fg = extended(&mut codes),
            39 => style.fg = None,
            40..=47 => style.bg = Some((code - 40) as u8),
            48 => style.bg = extended(&mut codes),
            49 => style.bg = None,
            90..=97 => style.fg = Some((code - 90 + 8) as u8),
            100..=107 => style.bg = Some((code - 100 + 8) as u8),
            // Blinking, fonts, overlines: nothing a log needs.
            _ => {}
        }
    }
}

/// `5;N` and `2;R;G;B`, as the nearest of the sixteen colours that each theme defines.
fn extended(codes: &mut impl Iterator<Item = u16>) -> Option<u8> {
    match codes.next()? {
        5 => match codes.next()? {
            n @ 0..16 => Some(n as u8),
            n @ 16..232 => {
                let level = |i: u16| [0u16, 95, 135, 175, 215, 255][usize::from(i % 6)];
                Some(nearest(level((n - 16) / 36), level((n - 16) / 6), level(n - 16)))
            }
            n @ 232..256 => Some(nearest((n - 232) * 10 + 8, (n - 232) * 10 + 8, (n - 232) * 10 + 8)),
            _ => None,
        },
        2 => Some(nearest(codes.next()?, codes.next()?, codes.next()?)),
        _ => None,
    }
}

fn nearest(r: u16, g: u16, b: u16) -> u8 {
    let strongest = r.max(g).max(b);
    if strongest < 60 {
        return 0;
    }
    let spread = strongest - r.min(g).min(b);
    if spread < 40 {
        return if strongest > 200 {
            15
        } else if strongest > 130 {
            7
        } else {
            8
        };
    }
    let on = |c: u16| u8::from(c * 2 > strongest);
    let base = on(r) | on(g) << 1 | on(b) << 2;
    if strongest > 200 { base + 8 } else { base }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_become_spans_and_markup_stays_text() {
        let table = [
            ("plain <b>", "plain &lt;b&gt;"),
            ("\u{1b}[31mred\u{1b}[0m.", "<span class=\"f1\">red</span>."),
            ("\u{1b}[1;92;44mx", "<span class=\"f10 b4 bo\">x</span>"),
            ("\u{1b}[38;5;196mx\u{1b}[39my", "<span class=\"f9\">x</span>y"),
            ("\u{1b}[38;2;0;120;0mx", "<span class=\"f2\">x</span>"),
            ("a\u{1b}[2Kb\u{1b}[10;20Hc", "abc"),
            ("\u{1b}]0;title\u{7}a\u{1b}]8;;http://x\u{1b}\\b", "ab"),
            ("\u{1b}[31m\u{1b}[0m", ""),
            ("\u{1b}", ""),
            ("\u{1b}[", ""),
            ("\u{1b}[31;", ""),
            ("a\u{8}\u{0}b", "ab"),
            ("\u{202e}x", "\u{fffd}x"),
            ("\u{1b}[31m\"'&<script>", "<span class=\"f1\">&quot;&#39;&amp;&lt;script&gt;</span>"),
        ];
        for (line, html) in table {
            assert_eq!(render(line).html, html, "{line:?}");
        }
    }

    #[test]
    fn long_lines_are_cut_and_say_so() {
        let rendered = render(&"ä".repeat(MAX_LINE + 7));
        assert_eq!((rendered.text.chars().count(), rendered.cut), (MAX_LINE, 7));
    }
}
