//! Character classes, and the escapes that are allowed inside and outside of them.

use super::walker::{Step, Walker};

/// Escapes that are the same in both engines, inside and outside of a class.
const CLASS_ESCAPES: &str = "sSdDrntfv";

/// Scripts compared over all code points; general categories have one or two letters.
const SCRIPTS: [&str; 29] = [
    "Arabic",
    "Armenian",
    "Bengali",
    "Common",
    "Cyrillic",
    "Devanagari",
    "Ethiopic",
    "Georgian",
    "Greek",
    "Gujarati",
    "Gurmukhi",
    "Han",
    "Hangul",
    "Hebrew",
    "Hiragana",
    "Inherited",
    "Kannada",
    "Katakana",
    "Khmer",
    "Lao",
    "Latin",
    "Malayalam",
    "Mongolian",
    "Myanmar",
    "Sinhala",
    "Tamil",
    "Telugu",
    "Thai",
    "Tibetan",
];
const CATEGORIES: [&str; 36] = [
    "L", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "Mn", "Mc", "Me", "N", "Nd", "Nl", "No", "P", "Pc", "Pd", "Ps", "Pe", "Pi",
    "Pf", "Po", "S", "Sm", "Sc", "Sk", "So", "Z", "Zs", "Zl", "Zp", "C", "Cc", "Cf", "Co", "Cn",
];

impl Walker<'_> {
    pub(super) fn class(&mut self) -> Step<()> {
        let start = self.at;
        self.copy(1);
        if self.peek() == Some('^') {
            self.copy(1);
        }
        let first = self.at;
        // The left end of a range, if the item just read can be one.
        let mut low = None;
        loop {
            let Some(c) = self.peek() else { return Err(self.refuse_at(start, "an unclosed `[`")) };
            match c {
                ']' if self.at > first => break,
                '[' | ']' => return self.refuse(format!("an unescaped `{c}` inside `[...]`")),
                '&' | '~' if self.rest()[1..].starts_with(c) => {
                    return self.refuse(format!("`{c}{c}` inside `[...]`"));
                }
                '-' if self.at == first || self.rest()[1..].starts_with(']') => {
                    self.copy(1);
                    low = None;
                }
                '-' => {
                    let Some(low_char) = low.take() else { return self.refuse("`-` after what begins no range") };
                    self.copy(1);
                    match self.class_item()? {
                        Some(high) if low_char <= high => {}
                        _ => return self.refuse("a range whose end is no character after its start,"),
                    }
                }
                _ => low = self.class_item()?,
            }
        }
        self.copy(1);
        Ok(())
    }

    /// One item of a class; the character, if it is a single one.
    fn class_item(&mut self) -> Step<Option<char>> {
        let Some(c) = self.peek() else { return Ok(None) };
        if matches!(c, '[' | ']' | '-') {
            return self.refuse(format!("an unescaped `{c}` inside `[...]`"));
        }
        if c == '\\' {
            // These have letters beyond ASCII, and a class with U+00DF would match `ss` to Oniguruma.
            let set = self.rest()[1..].chars().next().filter(|c| matches!(c, 'S' | 'D'));
            if let (Some(letter), true) = (set, self.fold.is_some()) {
                return self.refuse(format!("`[\\{letter}]` inside `(?i:...)`"));
            }
            return self.set_or_char();
        }
        if self.fold.is_some() && !c.is_ascii() {
            return self.refuse(format!("{c:?} inside `(?i:...)`"));
        }
        self.copy(c.len_utf8());
        Ok(Some(c))
    }

    /// An escape that is allowed everywhere; the character, if it stands for a single one.
    pub(super) fn set_or_char(&mut self) -> Step<Option<char>> {
        let Some(c) = self.rest()[1..].chars().next() else { return self.refuse("a `\\` at the end") };
        match c {
            'p' | 'P' => self.property(c).map(|()| None),
            'x' | 'u' => self.code_point(c),
            _ if CLASS_ESCAPES.contains(c) => {
                self.copy(2);
                Ok(match c {
                    'r' => Some('\r'),
                    'n' => Some('\n'),
                    't' => Some('\t'),
                    'f' => Some('\x0c'),
                    'v' => Some('\x0b'),
                    _ => None,
                })
            }
            // `\<` and `\>` are borders of words to our engine.
            _ if c.is_ascii_punctuation() && c != '<' && c != '>' => {
                self.copy(2);
                Ok(Some(c))
            }
            _ => self.refuse(format!("`\\{c}`")),
        }
    }

    /// `\p{Name}` and `\P{Name}`.
    fn property(&mut self, letter: char) -> Step<()> {
        let name = self.rest()[2..].strip_prefix('{').and_then(|rest| rest.split_once('}')).map(|(name, _)| name);
        match name {
            Some(name) if self.fold.is_none() && (CATEGORIES.contains(&name) || SCRIPTS.contains(&name)) => {
                self.copy(name.len() + 4);
                Ok(())
            }
            Some(name) if self.fold.is_some() => self.refuse(format!("`\\{letter}{{{name}}}` inside `(?i:...)`")),
            Some(name) => self.refuse(format!("`\\{letter}{{{name}}}`")),
            None => self.refuse(format!("`\\{letter}` without braces")),
        }
    }

    /// `\x41`, `\x{1F600}` and `\u0041`. Beyond ASCII, two digits are a raw byte to Oniguruma.
    fn code_point(&mut self, letter: char) -> Step<Option<char>> {
        let digits = &self.rest()[2..];
        let (digits, length) = match (letter, digits.strip_prefix('{')) {
            ('x', Some(braced)) => braced.split_once('}').map_or(("", 0), |(digits, _)| (digits, digits.len() + 4)),
            ('x', None) => (digits.get(..2).unwrap_or(""), 4),
            _ => (digits.get(..4).unwrap_or(""), 6),
        };
        let code = digits
            .bytes()
            .all(|b| b.is_ascii_hexdigit())
            .then(|| u32::from_str_radix(digits, 16).ok().and_then(char::from_u32))
            .flatten();
        match code {
            Some(c) if (length != 4 || c.is_ascii()) && (self.fold.is_none() || c.is_ascii()) => {
                self.copy(length);
                Ok(Some(c))
            }
            _ => self.refuse(format!("`\\{letter}`")),
        }
    }
}
