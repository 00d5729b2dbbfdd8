//! Patterns between our regex engine and Oniguruma, which reads the pattern of a tokenizer.json.
//!
//! A regex is walked with a whitelist: what means the same to both engines is copied, what has an equal form is
//! rewritten, and everything else is refused by name. The differences that are bridged:
//!
//! | fancy-regex | Oniguruma | why |
//! |---|---|---|
//! | `X{n,m}+` possessive | `(?>X{n,m})` | there, `X{n,m}+` is `(?:X{n,m})+` |
//! | `(?:X{n,m})+` | `X{n,m}+` (only read) | the same |
//! | `^` `$` | `\A` `\z` | there, `^` and `$` are ends of lines |
//! | `(?s:X)` | `(?m:X)` | the letter for "a dot matches a line feed" |
//!
//! Character classes, `\s`, `\d`, `.`, the general categories and the scripts named here were compared over all code
//! points; so was `(?i:...)` over ASCII, where both let `s` and `k` match U+017F and U+212A. What Oniguruma adds there is
//! a ligature for two letters (`ss` matches U+00DF, `st` U+FB06), so those letters may not meet.

use crate::error::{Error, Result};
use crate::pretokenize::Pattern;

/// Writes a pattern in Oniguruma's syntax.
///
/// # Errors
/// [`Error::Pattern`] naming the construct that has no equal form there.
pub fn to_onig(pattern: &Pattern) -> Result<String> {
    translate(pattern.regex(), Engine::Fancy).map_err(|refusal| Error::Pattern {
        pattern: pattern.name().to_owned(),
        message: format!(
            "cannot be written to tokenizer.json: {} at character {} has no form known to mean the same in the engine that reads the file",
            refusal.construct, refusal.position
        ),
    })
}

/// Reads a pattern in Oniguruma's syntax; `origin` is the file it stands in.
///
/// # Errors
/// [`Error::Unsupported`] naming the construct that our engine does not read the same way.
pub fn from_onig(regex: &str, origin: &str) -> Result<Pattern> {
    // Two spellings of `gpt2` in wide use; others that spell a named scheme are recognised after the translation.
    const GPT2_SPELLINGS: [&str; 2] = [
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        r"'s|'t|'re|'ve|'m|'ll|'d| ?[\p{L}]+| ?[\p{N}]+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    ];
    const NAMED: [Pattern; 4] = [Pattern::Gpt2, Pattern::Cl100k, Pattern::O200k, Pattern::Qwen];
    if GPT2_SPELLINGS.contains(&regex) {
        return Ok(Pattern::Gpt2);
    }
    match translate(regex, Engine::Oniguruma) {
        Ok(translated) => {
            Ok(NAMED.into_iter().find(|named| named.regex() == translated).unwrap_or(Pattern::Custom(translated)))
        }
        Err(refusal) => Err(Error::Unsupported {
            origin: origin.to_owned(),
            feature: format!(
                "{} at character {} of the pre_tokenizer's regex {regex:?}, which means something else to this engine or is not known to mean the same,",
                refusal.construct, refusal.position
            ),
        }),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Engine {
    Fancy,
    Oniguruma,
}

/// A construct outside the whitelist.
struct Refusal {
    construct: String,
    /// Character position, from 1.
    position: usize,
}

type Step<T> = std::result::Result<T, Refusal>;

fn translate(regex: &str, from: Engine) -> Step<String> {
    let mut walker = Walker { regex, at: 0, out: String::with_capacity(regex.len()), from, unsteady: 0, fold: None };
    let whole = walker.alternation()?;
    if walker.at < regex.len() {
        return Err(walker.refuse_at(walker.at, "an unopened `)`"));
    }
    if whole.nullable {
        return Err(walker.refuse_at(0, "a pattern that matches the empty string,"));
    }
    Ok(walker.out)
}

/// What the walker learns of a part of the regex.
#[derive(Clone, Copy, Default)]
struct Shape {
    /// It can match the empty string; engines differ on how to repeat that.
    nullable: bool,
    /// It is an assertion; repeating it is not portable.
    assertion: bool,
    /// It is nothing but one atom under a greedy interval.
    lone_interval: bool,
}

struct Walker<'a> {
    regex: &'a str,
    at: usize,
    out: String,
    from: Engine,
    /// Quantifiers, assertions and captures read so far: a look-behind may have none.
    unsteady: usize,
    /// Inside `(?i:...)`: the letter just before, if a letter may meet it.
    fold: Option<Option<char>>,
}

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
    fn peek(&self) -> Option<char> {
        self.regex[self.at..].chars().next()
    }

    fn rest(&self) -> &str {
        &self.regex[self.at..]
    }

    /// Copies the next `length` bytes.
    fn copy(&mut self, length: usize) {
        self.out.push_str(&self.regex[self.at..self.at + length]);
        self.at += length;
    }

    fn refuse_at(&self, at: usize, construct: impl Into<String>) -> Refusal {
        Refusal { construct: construct.into(), position: self.regex[..at].chars().count() + 1 }
    }

    fn refuse<T>(&self, construct: impl Into<String>) -> Step<T> {
        Err(self.refuse_at(self.at, construct))
    }

    fn alternation(&mut self) -> Step<Shape> {
        let mut whole = self.branch()?;
        while self.peek() == Some('|') {
            self.copy(1);
            self.break_letters();
            let branch = self.branch()?;
            whole = Shape { nullable: whole.nullable || branch.nullable, ..Shape::default() };
        }
        Ok(whole)
    }

    fn branch(&mut self) -> Step<Shape> {
        let mut parts = Vec::new();
        while !matches!(self.peek(), None | Some('|' | ')')) {
            parts.push(self.repetition()?);
        }
        match parts.as_slice() {
            [only] => Ok(Shape { assertion: false, ..*only }),
            _ => Ok(Shape { nullable: parts.iter().all(|part| part.nullable), ..Shape::default() }),
        }
    }

    /// An atom and its quantifier.
    fn repetition(&mut self) -> Step<Shape> {
        let out_start = self.out.len();
        let group = self.peek() == Some('(');
        let atom = self.atom()?;
        self.unsteady += usize::from(atom.assertion);
        let Some(first @ ('*' | '+' | '?' | '{')) = self.peek() else {
            return Ok(atom);
        };
        if atom.assertion || atom.nullable {
            return self.refuse("a quantifier after what can match the empty string");
        }
        // Oniguruma may unroll these into `ss` or `ff`.
        if self.fold.is_some_and(|letter| group || matches!(letter, Some('s' | 'f'))) {
            return self.refuse("a quantifier after a group, `s` or `f` inside `(?i:...)`");
        }
        self.unsteady += 1;
        self.break_letters();
        let shape = if first == '{' {
            self.interval(out_start)?
        } else {
            self.copy(1);
            if let Some('+' | '?') = self.peek() {
                self.copy(1);
            }
            Shape { nullable: first != '+', ..Shape::default() }
        };
        match self.peek() {
            Some('*' | '+' | '?' | '{') => self.refuse("a quantifier after a quantifier"),
            _ => Ok(shape),
        }
    }

    /// `{n}`, `{n,}` and `{n,m}`, and what follows them; the atom was written from `out_start` on.
    fn interval(&mut self, out_start: usize) -> Step<Shape> {
        let Some(length) = self.rest().find('}').map(|i| i + 1) else {
            return self.refuse("an unescaped `{`");
        };
        let body = &self.rest()[1..length - 1];
        let (low, high) = body.split_once(',').map_or((body, None), |(low, high)| (low, Some(high)));
        let number = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<u16>().ok());
        let bounds = (number(low).flatten(), high.filter(|high| !high.is_empty()).map(|high| number(high).flatten()));
        let nullable = match bounds {
            (Some(low), None) => low == 0,
            (Some(low), Some(Some(high))) if low <= high => low == 0,
            _ => return self.refuse(format!("`{{{body}}}`")),
        };
        match self.rest().as_bytes().get(length) {
            Some(b'+') => {
                // Possessive to one engine, repeated to the other.
                let (open, close) = if self.from == Engine::Fancy { ("(?>", ")") } else { ("(?:", ")+") };
                self.out.insert_str(out_start, open);
                self.copy(length);
                self.out.push_str(close);
                self.at += 1;
                if nullable && self.from == Engine::Oniguruma {
                    return self.refuse("a repeated interval that can match the empty string");
                }
                Ok(Shape { nullable, ..Shape::default() })
            }
            // To Oniguruma this makes the fixed count optional; to us it says nothing.
            Some(b'?') if high.is_none() => self.refuse(format!("`{{{body}}}?`")),
            Some(b'?') => {
                self.copy(length + 1);
                Ok(Shape { nullable, ..Shape::default() })
            }
            _ => {
                self.copy(length);
                Ok(Shape { nullable, lone_interval: true, ..Shape::default() })
            }
        }
    }

    fn atom(&mut self) -> Step<Shape> {
        let Some(c) = self.peek() else { return Ok(Shape::default()) };
        match c {
            '(' => self.group(),
            '[' => {
                self.class()?;
                self.break_letters();
                Ok(Shape::default())
            }
            '\\' => self.escape(),
            '^' | '$' if self.from == Engine::Fancy => {
                self.at += 1;
                self.out.push_str(if c == '^' { r"\A" } else { r"\z" });
                Ok(Shape { nullable: true, assertion: true, ..Shape::default() })
            }
            '^' | '$' => self.refuse(format!("`{c}` (an end of line)")),
            '*' | '+' | '?' => self.refuse(format!("`{c}` with nothing to repeat")),
            '{' | '}' | ']' => self.refuse(format!("an unescaped `{c}`")),
            '.' => {
                self.break_letters();
                self.copy(1);
                Ok(Shape::default())
            }
            _ => {
                self.literal(c)?;
                self.copy(c.len_utf8());
                Ok(Shape::default())
            }
        }
    }

    /// Refuses letters that Oniguruma folds together with their neighbours.
    fn literal(&mut self, c: char) -> Step<()> {
        let Some(before) = self.fold else { return Ok(()) };
        if !c.is_ascii() {
            return self.refuse(format!("{c:?} inside `(?i:...)`"));
        }
        let c = c.to_ascii_lowercase();
        if let Some(before) = before
            && ["ss", "st", "ff", "fi", "fl"].contains(&format!("{before}{c}").as_str())
        {
            return self.refuse(format!("`{before}{c}` inside `(?i:...)`, which there matches a ligature too,"));
        }
        self.fold = Some(Some(c));
        Ok(())
    }

    fn break_letters(&mut self) {
        self.fold = self.fold.map(|_| None);
    }

    fn group(&mut self) -> Step<Shape> {
        const OPENINGS: [&str; 8] = ["(?:", "(?>", "(?=", "(?!", "(?<=", "(?<!", "(?i:", "("];
        let dotall = if self.from == Engine::Fancy { "(?s:" } else { "(?m:" };
        let (start, out_start, fold, unsteady) = (self.at, self.out.len(), self.fold, self.unsteady);
        let opening = if self.rest().starts_with(dotall) {
            self.at += dotall.len();
            self.out.push_str(if self.from == Engine::Fancy { "(?m:" } else { "(?s:" });
            dotall
        } else {
            let found = OPENINGS.into_iter().find(|opening| self.rest().starts_with(opening));
            match found {
                Some(opening) if opening != "(" || !self.rest().starts_with("(?") => {
                    self.copy(opening.len());
                    opening
                }
                _ => {
                    let end = self.rest().find([':', ')', '>']).map_or(self.rest().len(), |i| i + 1);
                    return self.refuse(format!("`{}`", &self.rest()[..end]));
                }
            }
        };
        self.unsteady += usize::from(opening == "(");
        if opening == "(?i:" {
            self.fold = Some(None);
        }
        let mut shape = self.alternation()?;
        if opening == "(?i:" {
            self.fold = fold.map(|_| None);
        }
        if self.peek() != Some(')') {
            return Err(self.refuse_at(start, "an unclosed `(`"));
        }
        if matches!(opening, "(?<=" | "(?<!") && self.unsteady > unsteady {
            return Err(self.refuse_at(start, "a quantifier, an assertion or a capture inside a look-behind"));
        }
        self.at += 1;
        let repeated = matches!(self.peek(), Some('*' | '+' | '?' | '{'));
        if self.from == Engine::Oniguruma && opening == "(?>" && shape.lone_interval && !repeated {
            // The form that is written for a possessive interval: read back as it was.
            self.out.replace_range(out_start..out_start + opening.len(), "");
            self.out.push('+');
        } else {
            self.out.push(')');
        }
        shape.assertion = matches!(opening, "(?=" | "(?!" | "(?<=" | "(?<!");
        shape.nullable |= shape.assertion;
        shape.lone_interval = false;
        Ok(shape)
    }

    fn class(&mut self) -> Step<()> {
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
            return self.set_or_char();
        }
        if self.fold.is_some() && !c.is_ascii() {
            return self.refuse(format!("{c:?} inside `(?i:...)`"));
        }
        self.copy(c.len_utf8());
        Ok(Some(c))
    }

    fn escape(&mut self) -> Step<Shape> {
        match self.rest().as_bytes().get(1) {
            Some(b'A' | b'z') => {
                // Read back as they are written in most patterns.
                let plain = if self.rest().starts_with(r"\A") { '^' } else { '$' };
                if self.from == Engine::Oniguruma {
                    self.out.push(plain);
                    self.at += 2;
                } else {
                    self.copy(2);
                }
                Ok(Shape { nullable: true, assertion: true, ..Shape::default() })
            }
            _ => {
                let at = self.at;
                match self.set_or_char()? {
                    Some(c) => {
                        let end = std::mem::replace(&mut self.at, at);
                        self.literal(c)?;
                        self.at = end;
                    }
                    None => self.break_letters(),
                }
                Ok(Shape::default())
            }
        }
    }

    /// An escape that is allowed everywhere; the character, if it stands for a single one.
    fn set_or_char(&mut self) -> Step<Option<char>> {
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
