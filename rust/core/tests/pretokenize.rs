//! The hand-written scanners against their regexes, and the safety of cuts and of decided prefixes.

#![expect(clippy::unwrap_used, reason = "a failure is a failed test")]

use std::sync::LazyLock;

use bloomery_core::pretokenize::{Cutter, PreTokenizer};
use bloomery_core::special::{Piece, SpecialTokens};
use bloomery_core::{Instructions, Pattern};
use fancy_regex::Regex;
use proptest::prelude::*;

/// A named scheme, the regex that defines it, and the scanner of that regex as a custom pattern would use it.
struct Scheme {
    scanner: PreTokenizer,
    /// With less than the processor may have.
    limited: [PreTokenizer; 2],
    regex: Regex,
    custom: PreTokenizer,
}

static SCHEMES: LazyLock<Vec<Scheme>> = LazyLock::new(|| {
    [Pattern::Gpt2, Pattern::Cl100k, Pattern::O200k, Pattern::Qwen]
        .iter()
        .map(|pattern| Scheme {
            scanner: PreTokenizer::new(pattern).unwrap(),
            limited: [Instructions::Avx2, Instructions::Portable]
                .map(|most| PreTokenizer::new(pattern).unwrap().limited_to(most)),
            regex: Regex::new(pattern.regex()).unwrap(),
            custom: PreTokenizer::new(&Pattern::Custom(pattern.regex().to_owned())).unwrap(),
        })
        .collect()
});

fn scan(scanner: &PreTokenizer, text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    scanner
        .for_each(text, &mut |bytes: &[u8], start: usize, end: usize| {
            tokens.push(String::from_utf8(bytes[start..end].to_vec()).unwrap());
        })
        .unwrap();
    tokens
}

fn by_regex<'t>(regex: &Regex, text: &'t str) -> Vec<&'t str> {
    regex.find_iter(text).map(|found| found.unwrap().as_str()).collect()
}

/// Pieces where the schemes' alternatives meet: case, caseless letters, marks, numbers, all kinds of white space.
fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(vec![
            "a", "b", "S", "T", "'", "'s", "'S", "'ſ", "'ll", "'lL", "'re", "'VE", "'l", "'v", " ", "  ", "\n", "\r\n", "\r", "\t",
            "\u{a0}", "\u{85}", "\u{2028}", "\u{3000}", "1", "23", "²", "٣", "Ⅷ", "!", ".", "/", "//", "-", "é", "É", "ß", "ǅ", "ʰ", "字",
            "ん", "ก", "่", "\u{301}", "\u{20dd}", "😀", "👩‍👩‍👧", "\u{200b}", "\u{fffd}", "_", "$", "\0", "K", "ſ", "<|x|>",
        ]).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(fragment(), 0..24).prop_map(|parts| parts.concat())
}

/// Many windows of mostly plain text: fragments that make a window intricate are rare in it.
fn long_text() -> impl Strategy<Value = String> {
    let plain = prop::sample::select(vec![
        "word", "Word", "WORD", "x", "don't", "we'LL", "'s", "'", " ", " ", "  ", "\n", "\n\n", "  \n ", "\t", "\r\n",
        "1", "12345", ".", ",", "!\n", "/\n/", "//", "\"", "(", "é", "naïve", "Élan", "字", "，", "\u{3000}", "하다",
        "кот",
    ]);
    let part = prop_oneof![12 => plain.prop_map(str::to_owned), 1 => fragment()];
    prop::collection::vec(part, 0..150).prop_map(|parts| parts.concat())
}

#[test]
fn scanners_equal_their_regexes_beside_every_code_point() {
    for Scheme { scanner, limited, regex, .. } in SCHEMES.iter() {
        for block in (0..0x11_0000u32).collect::<Vec<_>>().chunks(64) {
            let text: String = block
                .iter()
                .filter_map(|&code_point| char::from_u32(code_point))
                .map(|c| format!("a{c}b {c}{c}1{c}'{c}'s!{c}\n{c} {c}A{c}Bc\u{301}{c}Z  {c}"))
                .collect();
            let expected = by_regex(regex, &text);
            assert_eq!(scan(scanner, &text), expected, "{} on {block:x?}", scanner.pattern());
            for limited in limited {
                assert_eq!(scan(limited, &text), expected, "{} on {block:x?}", scanner.pattern());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn scanners_equal_their_regexes(text in text()) {
        for Scheme { scanner, limited, regex, custom } in SCHEMES.iter() {
            let expected = by_regex(regex, &text);
            prop_assert_eq!(scan(scanner, &text), &expected[..], "{}", scanner.pattern());
            for limited in limited {
                prop_assert_eq!(scan(limited, &text), &expected[..], "{}", scanner.pattern());
            }
            prop_assert_eq!(scan(custom, &text), &expected[..]);
        }
    }

    #[test]
    fn scanners_equal_their_regexes_on_long_texts(text in long_text()) {
        for Scheme { scanner, limited, regex, .. } in SCHEMES.iter() {
            let expected = by_regex(regex, &text);
            prop_assert_eq!(scan(scanner, &text), &expected[..], "{}", scanner.pattern());
            for limited in limited {
                prop_assert_eq!(scan(limited, &text), &expected[..], "{}", scanner.pattern());
            }
        }
    }

    #[test]
    fn a_decided_prefix_stays_whatever_follows(head in text(), tail in text()) {
        for Scheme { scanner, .. } in SCHEMES.iter() {
            let mut decided = Vec::new();
            let rest = scanner
                .for_each_decided(&head, &mut |bytes: &[u8], start: usize, end: usize| {
                    decided.push(String::from_utf8(bytes[start..end].to_vec()).unwrap());
                })
                .unwrap();
            prop_assert_eq!(decided.concat().len(), rest);
            let whole = scan(scanner, &format!("{head}{tail}"));
            prop_assert_eq!(&whole[..decided.len()], &decided[..], "{}", scanner.pattern());
            let tokens = scan(scanner, &head);
            prop_assert!(tokens.len() - decided.len() <= 2);
        }
    }

    #[test]
    fn texts_cut_at_safe_places_give_the_pre_tokens_of_the_whole(
        text in text(),
        special in prop::sample::subsequence(vec!["<|x|>".to_owned(), "a b".to_owned(), "b\n".to_owned(), "\nS".to_owned(), "b <".to_owned()], 0..4),
        window in 1usize..20,
        custom in any::<bool>(),
    ) {
        for scheme in SCHEMES.iter() {
            let scanner = if custom { &scheme.custom } else { &scheme.scanner };
            let tokens = SpecialTokens::new(&special).unwrap();
            let cutter = Cutter::new(scanner.pattern(), &special);
            let all = |text: &str| {
                let mut all = Vec::new();
                tokens.split(text, |piece| {
                    match piece {
                        Piece::Text(text) => all.extend(scan(scanner, text)),
                        Piece::Special(index) => all.push(special[index].clone()),
                    }
                    Ok(())
                }).unwrap();
                all
            };
            let mut parts = Vec::new();
            let mut rest = text.as_str();
            let mut seen = window;
            while seen < rest.len() {
                match cutter.last_cut(&rest.as_bytes()[..seen]) {
                    Some(cut) => {
                        prop_assert!(cut > 0 && cut < seen);
                        parts.extend(all(&rest[..cut]));
                        rest = &rest[cut..];
                        seen = window;
                    }
                    None => seen += window,
                }
            }
            parts.extend(all(rest));
            prop_assert_eq!(parts, all(&text), "{}", scanner.pattern());
        }
    }

    #[test]
    fn texts_parted_in_any_window_give_the_pre_tokens_of_the_whole(
        text in text(),
        special in prop::sample::subsequence(vec!["<|x|>".to_owned(), "a b".to_owned(), "b\n".to_owned(), "\nS".to_owned(), "b <".to_owned()], 0..4),
        window in (0.0..0.8f64, 0.2..1.0f64),
        custom in any::<bool>(),
    ) {
        let place = |share: f64| (text.len() as f64 * share) as usize;
        let (start, end) = (place(window.0), place(window.1).max(place(window.0)));
        for scheme in SCHEMES.iter() {
            let scanner = if custom { &scheme.custom } else { &scheme.scanner };
            let tokens = SpecialTokens::new(&special).unwrap();
            let all = |text: &str| {
                let mut all = Vec::new();
                tokens.split(text, |piece| {
                    match piece {
                        Piece::Text(text) => all.extend(scan(scanner, text)),
                        Piece::Special(index) => all.push(special[index].clone()),
                    }
                    Ok(())
                }).unwrap();
                all
            };
            // The window may begin and end within a character.
            let cutter = Cutter::new(scanner.pattern(), &special);
            if let Some(cut) = cutter.part_at(&text.as_bytes()[start..end], start == 0) {
                let (left, right) = text.split_at(start + cut);
                prop_assert_eq!([all(left), all(right)].concat(), all(&text), "{} at {}", scanner.pattern(), start + cut);
            }
        }
    }
}

#[test]
fn documents_stay_whole_where_a_text_is_parted() {
    let text = "first document<|e|>second one, of some length<|e|>third";
    let cutter = Cutter::new(&Pattern::Gpt2, &["<|e|>"]);
    assert_eq!(cutter.part_at(&text.as_bytes()[5..], false), text.rfind("third").map(|at| at - 5));
    // A mark may change the token before it, in a text that is normalized.
    let marked = text.replace("third", "\u{301}third");
    assert_eq!(cutter.part_at(marked.as_bytes(), true), marked.find("second"));
    // Without a document's end, beside white space; without that, nowhere.
    assert_eq!(cutter.part_at(b"plain words only", true), Some(11));
    assert_eq!(cutter.part_at(&[b'x'; 100], true), None);
    assert!(cutter.cuts() && !Cutter::none().cuts() && !Cutter::new::<&str>(&Pattern::parse("a+"), &[]).cuts());
}

#[test]
fn ordinary_prose_is_cut_near_the_end_of_a_window() {
    let prose = "The quick brown fox. It jumps!\nOver 12 lazy dogs, ".repeat(50);
    for Scheme { scanner, .. } in SCHEMES.iter() {
        let cut = Cutter::new(scanner.pattern(), &["<|endoftext|>"]).last_cut(prose.as_bytes()).unwrap();
        assert!(prose.len() - cut < 40, "{} cuts {cut} of {}", scanner.pattern(), prose.len());
    }
    let chinese = "天地玄黃，宇宙洪荒。\n".repeat(50);
    assert!(
        chinese.len() - Cutter::new(&Pattern::O200k, &["<|endoftext|>"]).last_cut(chinese.as_bytes()).unwrap() < 80
    );
}

#[test]
fn a_custom_pattern_loses_no_byte() {
    let scanner = PreTokenizer::new(&Pattern::Custom(r"\d+(?!x)|z*".to_owned())).unwrap();
    assert_eq!(scan(&scanner, "ab12x3 zz!"), ["ab", "1", "2x", "3", " ", "zz", "!"]);
}

#[test]
fn a_custom_pattern_that_does_not_compile_names_itself() {
    let error = PreTokenizer::new(&Pattern::Custom("(a".to_owned())).unwrap_err().to_string();
    assert!(error.starts_with("pattern \"(a\": ") && error.contains("paren"), "{error}");
}

#[test]
fn catastrophic_backtracking_is_an_error_with_its_place() {
    let scanner = PreTokenizer::new(&Pattern::Custom(r"(?:(?=a)a|(?=ab)ab|b)*(?=c)".to_owned())).unwrap();
    let error = scanner.for_each(&"ab".repeat(50_000), &mut |_: &[u8], _: usize, _: usize| {}).unwrap_err().to_string();
    assert!(error.contains("reached the regex engine's limit at byte 0 of a text of 100000 bytes"), "{error}");
}
