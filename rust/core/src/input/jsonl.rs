//! JSON lines: the string under one field of each line, without building the rest of the line.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::InputOptions;
use super::block::JoinedRows;
use super::bytes::{Bytes, STRETCH};
use super::source::Checked;
use super::utf8::{self, Utf8Errors};
use crate::control::Control;
use crate::error::{Error, Line, Result};

/// Field names listed in an error, at most.
const LISTED: usize = 12;

/// A source of lines, and the number of the next one.
pub(super) struct JsonLines<'a> {
    bytes: Bytes<'a>,
    line: u64,
    before: Before,
}

/// Whole lines.
pub(super) struct Lines {
    bytes: Vec<u8>,
    /// Offset of the first byte in the (decompressed) stream.
    offset: u64,
    /// Number of the first line, from 1, among those that are read.
    line: u64,
    before: Before,
}

/// The lines before those that are read. They are counted only to tell where an error is.
#[derive(Clone)]
enum Before {
    None,
    /// They are so many bytes of this file.
    In(Arc<Path>, u64),
    /// Not on this machine.
    Elsewhere,
}

impl<'a> JsonLines<'a> {
    pub(super) fn open(source: &Checked, control: &'a Control) -> Result<JsonLines<'a>> {
        let before = match &source.part {
            Some(part) if part.held_from > 0 => Before::Elsewhere,
            Some(part) if part.range.start > 0 => Before::In(source.path.clone(), part.range.start),
            _ => Before::None,
        };
        Ok(JsonLines { bytes: Bytes::open(source, control)?, line: 1, before })
    }

    pub(super) fn next_lines(&mut self, size: usize) -> Result<Option<Lines>> {
        let piece = self.bytes.next_piece(size, &|window| memchr::memrchr(b'\n', window).map(|at| at + 1))?;
        Ok(piece.map(|piece| {
            let line = self.line;
            self.line += newlines(&piece.bytes);
            Lines { bytes: piece.bytes, offset: piece.offset, line, before: self.before.clone() }
        }))
    }
}

impl Lines {
    pub(super) fn decode(self, path: &Path, options: &InputOptions, control: &Control) -> Result<JoinedRows> {
        let text = utf8::decode(&self.bytes, options.errors).map_err(|at| Error::InvalidUtf8 {
            origin: path.display().to_string(),
            offset: self.offset + at as u64,
            byte: self.bytes[at],
        })?;
        // Some tools put a byte order mark at the start of a file; JSON has no other meaning for it.
        let text = if self.offset == 0 { text.strip_prefix('\u{feff}').unwrap_or(&text) } else { &text };
        let mut rows = JoinedRows::default();
        for (index, line) in text.split('\n').enumerate() {
            let line = line.trim_matches([' ', '\t', '\r']);
            if line.is_empty() {
                continue;
            }
            if let Err(message) = push_field(&mut rows.text, line, options) {
                let line = self.which(index, control)?;
                return Err(Error::JsonLine { origin: path.display().to_string(), line, message });
            }
            rows.ends.push(rows.text.len());
        }
        Ok(rows)
    }

    /// Which line of the whole file the one at `index` is.
    fn which(&self, index: usize, control: &Control) -> Result<Line> {
        let number = self.line + index as u64;
        let before = match &self.before {
            Before::None => Ok(0),
            Before::In(path, bytes) => count_newlines(path, *bytes, control),
            Before::Elsewhere => Err(io::ErrorKind::NotFound.into()),
        };
        control.check()?;
        Ok(before.map_or_else(|_| self.by_offset(index), |before| Line::Number(before + number)))
    }

    fn by_offset(&self, index: usize) -> Line {
        // A newline is one in the repaired text, too.
        let start = index.checked_sub(1).and_then(|last| memchr::memchr_iter(b'\n', &self.bytes).nth(last));
        Line::Offset(self.offset + start.map_or(0, |newline| newline as u64 + 1))
    }
}

/// Those in the first bytes of a file.
fn count_newlines(path: &Path, bytes: u64, control: &Control) -> io::Result<u64> {
    let mut reader = BufReader::with_capacity(STRETCH, File::open(path)?.take(bytes));
    let mut count = 0;
    loop {
        control.check().map_err(io::Error::other)?;
        let read = reader.fill_buf()?;
        if read.is_empty() {
            return Ok(count);
        }
        count += newlines(read);
        let length = read.len();
        reader.consume(length);
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// Appends the string under the field; the error is the message for a person.
fn push_field(text: &mut String, line: &str, options: &InputOptions) -> std::result::Result<(), String> {
    let field = options.field.as_str();
    let start = text.len();
    let found = match parse(line, Row { field, text, surrogates: None }) {
        Ok(found) => found,
        Err(error) => {
            text.truncate(start);
            // Escaped halves of surrogate pairs are an error to the JSON parser too; only then a line is parsed again.
            let lone = line.contains("\\ud") || line.contains("\\uD");
            match parse(line, Row { field, text, surrogates: Some(options.errors) }) {
                Ok(found) if lone => found,
                _ => return Err(describe(&error)),
            }
        }
    };
    match found {
        Found::Text => Ok(()),
        Found::Other(what) => Err(format!("field {field:?} holds {what}, not a string")),
        Found::Surrogate(code) => Err(format!(
            "field {field:?} holds half of a surrogate pair (\\u{code:04x}), which is no character; \
             pass errors=\"replace\" to put U+FFFD there, or errors=\"ignore\" to drop it"
        )),
        Found::Nothing => Err(match field_names(line) {
            names if names.is_empty() => format!("there is no field {field:?}: the object is empty"),
            names => format!("there is no field {field:?}, only {names}; say which holds the text with field="),
        }),
    }
}

fn parse(line: &str, row: Row<'_>) -> serde_json::Result<Found> {
    let mut deserializer = serde_json::Deserializer::from_str(line);
    let found = row.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(found)
}

fn describe(error: &serde_json::Error) -> String {
    let message = error.to_string();
    // The parser counts lines too, but it sees one at a time.
    let what = message.rsplit_once(" at line ").map_or(message.as_str(), |(what, _)| what);
    if error.is_data() {
        return what.to_owned();
    }
    format!("broken JSON at column {}: {what}; each line must be one whole JSON object", error.column())
}

/// The names of a line's fields, for an error message.
fn field_names(line: &str) -> String {
    let fields: BTreeMap<String, IgnoredAny> = serde_json::from_str(line).unwrap_or_default();
    let mut names: Vec<String> = fields.keys().take(LISTED).map(|name| format!("{name:?}")).collect();
    if fields.len() > LISTED {
        names.push(format!("{} more", fields.len() - LISTED));
    }
    names.join(", ")
}

/// What stands under the field.
enum Found {
    Nothing,
    Text,
    /// Half of a surrogate pair, refused.
    Surrogate(u16),
    /// No string but this.
    Other(&'static str),
}

/// Walks a line's object and appends the field's string to `text`. Where a field comes twice the last one counts, as in
/// Python.
struct Row<'a> {
    field: &'a str,
    text: &'a mut String,
    /// Set to accept halves of surrogate pairs in escapes, and what to do with them.
    surrogates: Option<Utf8Errors>,
}

impl<'de> DeserializeSeed<'de> for Row<'_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Found, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Row<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with a string under {:?}", self.field)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Found, A::Error> {
        let Row { field, text, surrogates } = self;
        let start = text.len();
        let mut found = Found::Nothing;
        while let Some(is_field) = map.next_key_seed(Key { field, surrogates })? {
            if is_field {
                text.truncate(start);
                found = map.next_value_seed(Value { text, surrogates })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Whether a key is the field.
struct Key<'a> {
    field: &'a str,
    surrogates: Option<Utf8Errors>,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<bool, D::Error> {
        match self.surrogates {
            None => deserializer.deserialize_str(self),
            Some(_) => deserializer.deserialize_bytes(self),
        }
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> std::result::Result<bool, E> {
        Ok(key == self.field)
    }

    fn visit_bytes<E: serde::de::Error>(self, key: &[u8]) -> std::result::Result<bool, E> {
        Ok(key == self.field.as_bytes())
    }
}

/// Appends a string; of any other value it says what it is.
struct Value<'a> {
    text: &'a mut String,
    surrogates: Option<Utf8Errors>,
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<Found, D::Error> {
        match self.surrogates {
            None => deserializer.deserialize_any(self),
            // Bytes are how the parser hands out strings with halves of surrogate pairs: each is encoded as if it were
            // a character of its own (WTF-8).
            Some(_) => deserializer.deserialize_bytes(self),
        }
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> std::result::Result<Found, E> {
        self.text.push_str(value);
        Ok(Found::Text)
    }

    fn visit_bytes<E: serde::de::Error>(self, value: &[u8]) -> std::result::Result<Found, E> {
        let mut found = Found::Text;
        let mut rest = value;
        for chunk in value.utf8_chunks() {
            self.text.push_str(chunk.valid());
            rest = &rest[chunk.valid().len()..];
            // The line itself is UTF-8, so what is not is a surrogate: 0xed and two bytes, which come as three chunks.
            if let &[0xed, second, third, ..] = rest {
                match self.surrogates.unwrap_or_default() {
                    Utf8Errors::Replace => self.text.push(char::REPLACEMENT_CHARACTER),
                    Utf8Errors::Ignore => {}
                    Utf8Errors::Strict => {
                        let code = 0xd000 | u16::from(second & 0x3f) << 6 | u16::from(third & 0x3f);
                        found = if let Found::Text = found { Found::Surrogate(code) } else { found };
                    }
                }
            }
            rest = &rest[chunk.invalid().len()..];
        }
        Ok(found)
    }

    fn visit_unit<E: serde::de::Error>(self) -> std::result::Result<Found, E> {
        Ok(Found::Other("null"))
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> std::result::Result<Found, E> {
        Ok(Found::Other("a boolean"))
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> std::result::Result<Found, E> {
        Ok(Found::Other("a number"))
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> std::result::Result<Found, E> {
        Ok(Found::Other("a number"))
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> std::result::Result<Found, E> {
        Ok(Found::Other("a number"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Found, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Found::Other("a list"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Found, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Found::Other("an object"))
    }
}
