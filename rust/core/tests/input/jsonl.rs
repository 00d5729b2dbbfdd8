//! JSON lines.

use super::*;

fn strict() -> InputOptions {
    options(Utf8Errors::Strict)
}

fn lines(text: impl AsRef<[u8]>, options: &InputOptions) -> Vec<String> {
    documents(&Folder::new().write("a.jsonl", text), options, 1 << 20)
}

fn refused(text: impl AsRef<[u8]>, options: &InputOptions) -> String {
    message(&Folder::new().write("a.jsonl", text), options)
}

proptest! {
    #[test]
    fn each_line_is_a_document(
        rows in prop::collection::vec((text(), any::<bool>()), 0..12),
        block_bytes in 1..200usize,
        last_newline in any::<bool>(),
    ) {
        let mut file: String = rows
            .iter()
            .map(|(row, ascii)| {
                let json = serde_json::to_string(row).unwrap();
                // Every character as an escape: the pairs of those beyond U+FFFF too.
                let escaped: String = row.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
                let value = if *ascii { format!("\"{escaped}\"") } else { json };
                format!("{{\"id\": [1, {{\"text\": 2}}], \"text\": {value}, \"more\": {value}}}\n")
            })
            .collect();
        if !last_newline {
            file.pop();
        }
        let folder = Folder::new();
        let path = folder.write("a.jsonl", file);
        let pieces = read_path(&path, &strict(), block_bytes).unwrap();
        for piece in &pieces {
            prop_assert_eq!((piece.kind, piece.ends_file), (DocumentKind::Rows, false));
        }
        let documents: Vec<String> = pieces.into_iter().flat_map(|piece| piece.documents).collect();
        prop_assert_eq!(documents, rows.into_iter().map(|(row, _)| row).collect::<Vec<_>>());
    }

    #[test]
    fn bytes_that_are_not_utf8_are_repaired_as_in_the_whole_file(
        rows in prop::collection::vec(bytes(), 0..9),
        block_bytes in 1..99usize,
    ) {
        let plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
        let rows: Vec<Vec<u8>> = rows.into_iter().map(|row| row.into_iter().filter(|&b| plain(b)).collect()).collect();
        let file = rows.iter().flat_map(|row| [b"{\"text\":\"", row.as_slice(), b"\"}\n"].concat()).collect::<Vec<u8>>();
        let folder = Folder::new();
        let path = folder.write("a.jsonl", &file);
        let lossy: Vec<_> = rows.iter().map(|row| String::from_utf8_lossy(row)).collect();
        prop_assert_eq!(documents(&path, &options(Utf8Errors::Replace), block_bytes), lossy);
        match (read_path(&path, &strict(), block_bytes), std::str::from_utf8(&file)) {
            (Ok(_), Ok(_)) => {}
            (Err(Error::InvalidUtf8 { offset, .. }), Err(error)) => {
                prop_assert_eq!(offset, error.valid_up_to() as u64);
            }
            (read, whole) => prop_assert!(false, "{read:?} {whole:?}"),
        }
    }

    #[test]
    fn an_error_names_its_line(before in 0..30usize, block_bytes in 1..99usize) {
        let file = "{\"text\": \"a\"}\n \r\n".repeat(before) + "nonsense\n{\"text\": \"a\"}\n";
        let folder = Folder::new();
        let error = read_path(&folder.write("a.jsonl", file), &strict(), block_bytes).unwrap_err();
        let Error::JsonLine { line, .. } = error else { panic!("{error}") };
        prop_assert_eq!(line, Line::Number(2 * before as u64 + 1));
    }

    #[test]
    fn parts_read_as_the_whole_does(
        lines in prop::collection::vec("[ -~&&[^\"\\\\]]{0,9}", 2..12),
        ends in prop::collection::vec(any::<bool>(), 12),
        at in any::<prop::sample::Index>(),
        block_bytes in 1..99usize,
    ) {
        let lines: Vec<String> = lines
            .iter()
            .zip(ends)
            .map(|(line, crlf)| format!("{{\"text\": \"{line}\"}}{}", if crlf { "\r\n" } else { "\n\n" }))
            .collect();
        let cut = lines[..=at.index(lines.len() - 1)].concat().len();
        let folder = Folder::new();
        let parts = parts(&folder, "whole.jsonl", lines.concat().as_bytes(), cut);
        let pieces = read(&parts, &strict(), block_bytes).unwrap();
        let read_in_parts: Vec<String> = pieces.into_iter().flat_map(|piece| piece.documents).collect();
        prop_assert_eq!(read_in_parts, documents(&folder.path("whole.jsonl"), &strict(), block_bytes));
    }

    #[test]
    fn an_error_in_a_part_names_the_line_in_the_whole(
        before in 1..9usize,
        within in 0..9usize,
        errors in prop_oneof![Just(Utf8Errors::Strict), Just(Utf8Errors::Replace)],
        block_bytes in 1..99usize,
    ) {
        let rows = |number| match errors {
            Utf8Errors::Strict => "{\"text\": \"a\"}\n \r\n".repeat(number).into_bytes(),
            _ => b"{\"text\": \"a\xff\"}\n \r\n".repeat(number),
        };
        let (first, second) = (rows(before), rows(within));
        let file = [&*first, &*second, b"nonsense\n{\"text\": \"a\"}\n"].concat();
        let folder = Folder::new();
        let [_, Source::Stretch(copy)] = parts(&folder, "whole.jsonl", &file, first.len()) else { unreachable!() };
        let line = |part: Stretch| match read(&[Source::Stretch(part)], &options(errors), block_bytes) {
            Err(Error::JsonLine { origin, line, .. }) if Path::new(&origin) == copy.name => line,
            read => panic!("{read:?}"),
        };
        prop_assert_eq!(
            line(Stretch { file: copy.name.clone(), held_from: 0, ..copy.clone() }),
            Line::Number(2 * (before + within) as u64 + 1)
        );
        // Of a copy of the part, nobody knows how many lines come before it.
        prop_assert_eq!(line(copy.clone()), Line::Offset((first.len() + second.len()) as u64));
    }
}

#[test]
fn what_is_tolerated() {
    let text = "\u{feff}{\"text\": \"a\"}\r\n\n  \t\n\t{ \"text\" : \"b\\n\\\"\\u00e9\" }  \n{\"text\":\"\"}";
    assert_eq!(lines(text, &strict()), ["a", "b\n\"é", ""]);
    assert_eq!(lines("", &strict()), [""; 0]);
    assert_eq!(lines("\n\n", &strict()), [""; 0]);
}

#[test]
fn the_last_of_two_fields_of_the_same_name_counts() {
    assert_eq!(lines(r#"{"text": "first", "text": "last"}"#, &strict()), ["last"]);
    assert_eq!(lines(r#"{"text": 1, "text": "last"}"#, &strict()), ["last"]);
    assert_eq!(
        refused(r#"{"text": "first", "text": 1}"#, &strict()),
        ", line 1: field \"text\" holds a number, not a string"
    );
}

#[test]
fn the_field_can_be_chosen() {
    let options = InputOptions { field: "büro \"x\"".to_owned(), ..strict() };
    assert_eq!(lines(r#"{"text": "a", "b\u00fcro \"x\"": "b"}"#, &options), ["b"]);
}

#[test]
fn lines_without_a_string_under_the_field_are_refused() {
    let rows = [
        (r#"{"text": null}"#, "field \"text\" holds null, not a string"),
        (r#"{"text": true}"#, "field \"text\" holds a boolean, not a string"),
        (r#"{"text": -1}"#, "field \"text\" holds a number, not a string"),
        (r#"{"text": 1.5}"#, "field \"text\" holds a number, not a string"),
        (r#"{"text": ["a", ["b"]]}"#, "field \"text\" holds a list, not a string"),
        (r#"{"text": {"text": {}}}"#, "field \"text\" holds an object, not a string"),
        (
            r#"{"url": "a", "body": "b"}"#,
            "there is no field \"text\", only \"body\", \"url\"; say which holds the text with field=",
        ),
        ("{}", "there is no field \"text\": the object is empty"),
        (r#"["a"]"#, "invalid type: sequence, expected an object with a string under \"text\""),
        (r#""a""#, "invalid type: string \"a\", expected an object with a string under \"text\""),
        (
            r#"{"text": "a"#,
            "broken JSON at column 11: EOF while parsing a string; each line must be one whole JSON object",
        ),
        (
            r#"{"text": "a"} {"text": "b"}"#,
            "broken JSON at column 15: trailing characters; each line must be one whole JSON object",
        ),
        ("{", "broken JSON at column 1: EOF while parsing an object; each line must be one whole JSON object"),
    ];
    for (line, expected) in rows {
        assert_eq!(refused(format!("{{\"text\": \"a\"}}\n{line}\n"), &strict()), format!(", line 2: {expected}"));
    }
    let many: String = (10..30).map(|n| format!("\"f{n}\": 0, ")).collect();
    let message = refused(format!("{{{many}\"z\": 1}}"), &strict());
    assert!(message.contains("\"f20\", \"f21\", 9 more; say which"), "{message}");
}

#[test]
fn halves_of_surrogate_pairs_follow_errors() {
    let rows = [
        (r#"a\ud83d b"#, "d83d", "a\u{fffd} b", "a b"),
        (r#"\uDE00\uD83D"#, "de00", "\u{fffd}\u{fffd}", ""),
        (r#"\ud83d\ud83d\ude00"#, "d83d", "\u{fffd}😀", "😀"),
        (r#"\ud83d\u0041é"#, "d83d", "\u{fffd}Aé", "Aé"),
    ];
    for (escaped, code, replaced, ignored) in rows {
        let file = format!("{{\"text\": \"one\"}}\n{{\"other\": \"\\ud800\", \"text\": \"{escaped}\"}}\n");
        assert_eq!(
            refused(&file, &strict()),
            format!(
                ", line 2: field \"text\" holds half of a surrogate pair (\\u{code}), which is no character; \
                 pass errors=\"replace\" to put U+FFFD there, or errors=\"ignore\" to drop it"
            )
        );
        assert_eq!(lines(&file, &options(Utf8Errors::Replace)), ["one", replaced]);
        assert_eq!(lines(&file, &options(Utf8Errors::Ignore)), ["one", ignored]);
    }
    // Elsewhere in the line they are no one's business.
    assert_eq!(lines(r#"{"\ud800": "\ud800", "text": "a", "text\udfff": 1}"#, &strict()), ["a"]);
    // A line that is broken besides is reported as broken.
    let message = refused(r#"{"text": "\ud800", "#, &options(Utf8Errors::Replace));
    assert!(message.starts_with(", line 1: broken JSON at column"), "{message}");
}

#[test]
fn compressed_lines() {
    let folder = Folder::new();
    let path =
        folder.write("a.jsonl.zst", zstd::encode_all(&b"{\"text\": \"a\"}\n{\"text\": \"b\"}\n"[..], 1).unwrap());
    assert_eq!(documents(&path, &strict(), 5), ["a", "b"]);
}
