//! GPT-2's table between bytes and printable characters, in which `vocab.json`, `merges.txt` and `tokenizer.json` spell tokens.

/// The character that stands for each byte: printable Latin-1 bytes stand for themselves, the other 68 follow from U+0100.
pub const BYTE_TO_CHAR: [char; 256] = byte_to_char();

/// The byte that each of the first 324 characters stands for; -1 for the 68 that stand for none.
const CHAR_TO_BYTE: [i16; 324] = char_to_byte();

const fn stands_for_itself(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF)
}

const fn byte_to_char() -> [char; 256] {
    let mut table = ['\0'; 256];
    let mut next = 0x100;
    let mut byte = 0;
    while byte < 256 {
        let code = if stands_for_itself(byte as u8) {
            byte as u32
        } else {
            next += 1;
            next - 1
        };
        table[byte] = match char::from_u32(code) {
            Some(c) => c,
            None => panic!("every code point below U+0144 is a character"),
        };
        byte += 1;
    }
    table
}

const fn char_to_byte() -> [i16; 324] {
    let mut table = [-1; 324];
    let mut byte = 0;
    while byte < 256 {
        table[BYTE_TO_CHAR[byte] as usize] = byte as i16;
        byte += 1;
    }
    table
}

/// The byte that `c` stands for, if any.
pub fn byte_of(c: char) -> Option<u8> {
    CHAR_TO_BYTE.get(c as usize).and_then(|&byte| u8::try_from(byte).ok())
}

/// The bytes that `text` spells, or the first character that stands for no byte.
///
/// # Errors
/// That character.
pub fn decode(text: &str) -> Result<Vec<u8>, char> {
    text.chars().map(|c| byte_of(c).ok_or(c)).collect()
}

/// How `bytes` are spelt.
pub fn encode(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| BYTE_TO_CHAR[usize::from(byte)]).collect()
}
