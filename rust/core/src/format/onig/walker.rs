//! Walks a regex and copies, rewrites or refuses what it meets: groups, repetitions, assertions.

/// The engine whose syntax is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    Fancy,
    Oniguruma,
}

/// A construct outside the whitelist.
pub(super) struct Refusal {
    pub(super) construct: String,
    /// Character position, from 1.
    pub(super) position: usize,
}

pub(super) type Step<T> = std::result::Result<T, Refusal>;

/// Rewrites a regex from one engine's syntax to the other's.
pub(super) fn translate(regex: &str, from: Engine) -> Step<String> {
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

pub(super) struct Walker<'a> {
    pub(super) regex: &'a str,
    pub(super) at: usize,
    out: String,
    from: Engine,
    /// Quantifiers, assertions and captures read so far: a look-behind may have none.
    unsteady: usize,
    /// Inside `(?i:...)`: the letter just before, if a letter may meet it.
    pub(super) fold: Option<Option<char>>,
}

impl Walker<'_> {
    pub(super) fn peek(&self) -> Option<char> {
        self.regex[self.at..].chars().next()
    }

    pub(super) fn rest(&self) -> &str {
        &self.regex[self.at..]
    }

    /// Copies the next `length` bytes.
    pub(super) fn copy(&mut self, length: usize) {
        self.out.push_str(&self.regex[self.at..self.at + length]);
        self.at += length;
    }

    pub(super) fn refuse_at(&self, at: usize, construct: impl Into<String>) -> Refusal {
        Refusal { construct: construct.into(), position: self.regex[..at].chars().count() + 1 }
    }

    pub(super) fn refuse<T>(&self, construct: impl Into<String>) -> Step<T> {
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
}
