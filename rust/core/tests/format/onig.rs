//! Patterns to and from Oniguruma's syntax.

use bloomery_core::format::onig::{from_onig, to_onig};
use bloomery_core::{Error, Pattern};

fn custom(regex: &str) -> Pattern {
    Pattern::Custom(regex.to_owned())
}

#[test]
fn named_schemes_come_back() {
    for scheme in [Pattern::Gpt2, Pattern::Cl100k, Pattern::O200k, Pattern::Qwen] {
        assert_eq!(from_onig(&to_onig(&scheme).unwrap(), "f").unwrap(), scheme);
    }
    for scheme in [Pattern::Gpt2, Pattern::O200k, Pattern::Qwen] {
        assert_eq!(to_onig(&scheme).unwrap(), scheme.regex(), "means the same in both engines");
    }
    assert_eq!(
        to_onig(&Pattern::Cl100k).unwrap(),
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|(?>\p{N}{1,3})| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++\z|\s*[\r\n]|\s+(?!\S)|\s"
    );
}

#[test]
fn published_spellings() {
    let gpt2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
    assert_eq!(from_onig(gpt2, "f").unwrap(), Pattern::Gpt2);
    // Llama 3's: the older cl100k, which differs from the published one on `a  \n  `.
    let llama3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    assert_eq!(from_onig(llama3, "f").unwrap(), custom(llama3));
    // A regex is never taken for a scheme's name.
    assert_eq!(from_onig("gpt2", "f").unwrap(), custom("gpt2"));
}

#[test]
fn rewritten_and_read_back() {
    for (ours, theirs) in [
        (r"\p{N}{1,3}+", r"(?>\p{N}{1,3})"),
        (r"(?:ab|c){2}+|.", r"(?>(?:ab|c){2})|."),
        (r"^a|b$", r"\Aa|b\z"),
        (r"(?s:.)", r"(?m:.)"),
        (r"(?i:[a-z]+|'ll)|\x41\u0042\x{1F600}", r"(?i:[a-z]+|'ll)|\x41\u0042\x{1F600}"),
        (r"(?<=[a&~^-])\s?+(?!x|$).??[^\S\-]", r"(?<=[a&~^-])\s?+(?!x|\z).??[^\S\-]"),
        (r"\p{Han}+|\P{Lu}\.\{", r"\p{Han}+|\P{Lu}\.\{"),
    ] {
        assert_eq!(to_onig(&custom(ours)).unwrap(), theirs);
        assert_eq!(from_onig(theirs, "f").unwrap(), custom(ours));
    }
    assert_eq!(from_onig(r"\d{1,3}+", "f").unwrap(), custom(r"(?:\d{1,3})+"));
    assert_eq!(from_onig(r"(?>\d{1,3})?x", "f").unwrap(), custom(r"(?>\d{1,3})?x"));
}

#[test]
fn refused_by_name() {
    for (regex, construct) in [
        (r"a\w", r"`\w` at character 2"),
        (r"é\b", r"`\b` at character 2"),
        (r"\h+", r"`\h`"),
        (r"(a)\1", r"`\1`"),
        (r"a\Z", r"`\Z`"),
        (r"\Ga", r"`\G`"),
        (r"a\Kb", r"`\K`"),
        (r"\<a", r"`\<`"),
        (r"[a&&b]", "`&&` inside `[...]`"),
        (r"[a--b]", "an unescaped `-` inside `[...]`"),
        (r"[a[b]]", "an unescaped `[` inside `[...]`"),
        (r"[[:alpha:]]", "an unescaped `[` inside `[...]`"),
        (r"(?i)a", "`(?i)`"),
        (r"(?x: a)", "`(?x:`"),
        (r"(?<n>a)", "`(?<n>`"),
        (r"(?i:is)st", ""),
        (r"(?i:st)", "`st` inside `(?i:...)`"),
        (r"(?i:s\x73)", "`ss` inside `(?i:...)`"),
        (r"(?i:s+)", "a quantifier after a group, `s` or `f` inside `(?i:...)`"),
        (r"(?i:[a\S])", r"`[\S]` inside `(?i:...)`"),
        (r"(?i:é)", "'é' inside `(?i:...)`"),
        (r"(?i:\p{Lu})", r"`\p{Lu}` inside `(?i:...)`"),
        (r"\p{Alphabetic}", r"`\p{Alphabetic}`"),
        (r"\pL", r"`\p` without braces"),
        (r"\xe9", r"`\x`"),
        (r"a{2}?", "`{2}?`"),
        (r"a{,2}b", "`{,2}`"),
        (r"a{2", "an unescaped `{`"),
        (r"a+*", "a quantifier after a quantifier"),
        (r"(?:a*)*b", "a quantifier after what can match the empty string"),
        (r"(?<=a+)b", "a quantifier, an assertion or a capture inside a look-behind"),
        (r"a*", "a pattern that matches the empty string"),
        (r"a)", "an unopened `)`"),
        (r"(a", "an unclosed `(`"),
        (r"[a", "an unclosed `[`"),
        (r"*a", "`*` with nothing to repeat"),
    ] {
        if construct.is_empty() {
            to_onig(&custom(regex)).unwrap();
            continue;
        }
        let written = to_onig(&custom(regex)).unwrap_err();
        assert!(matches!(written, Error::Pattern { .. }));
        let read = from_onig(regex, "t.json").unwrap_err();
        assert!(matches!(read, Error::Unsupported { .. }));
        for message in [written.to_string(), read.to_string()] {
            assert!(message.contains(construct), "{regex}: {message}");
        }
    }
    for regex in ["^a", "a$", "(?s:.)"] {
        assert!(from_onig(regex, "t.json").unwrap_err().to_string().starts_with("t.json: "), "{regex}");
    }
    assert!(to_onig(&custom("(?m:.)")).is_err());
}
