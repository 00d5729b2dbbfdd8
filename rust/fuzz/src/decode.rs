//! Decoding whole and one id at a time, of ids that make broken characters and of ids that do not exist.

use crate::SUBJECTS;
use bloomery_core::{Error, StreamDecoder};

/// Panics where they differ.
pub fn check(data: &[u8]) {
    let tokenizer = &SUBJECTS[0].tokenizer;
    // Mostly ids that exist; two bytes reach a little beyond the vocabulary.
    let ids: Vec<u32> =
        data.chunks(2).map(|two| u32::from(two[0]) + u32::from(*two.get(1).unwrap_or(&0) % 80)).collect();
    let unknown = ids.iter().position(|&id| tokenizer.token_bytes(id).is_none());
    let known = &ids[..unknown.unwrap_or(ids.len())];

    let bytes: Vec<u8> = known.iter().flat_map(|&id| tokenizer.token_bytes(id).unwrap_or_default()).copied().collect();
    let text = String::from_utf8_lossy(&bytes);
    assert_eq!(tokenizer.decode_bytes(known).expect("all exist"), bytes);
    assert_eq!(tokenizer.decode(known).expect("all exist"), text);
    let mut decoder = StreamDecoder::new(tokenizer.clone());
    let mut streamed: String = known.iter().map(|&id| decoder.push(id).expect("it exists")).collect();
    if let Some(at) = unknown {
        assert!(decoder.push(ids[at]).is_err());
        for error in [tokenizer.decode_bytes(&ids).map(drop), tokenizer.decode(&ids).map(drop)] {
            assert!(matches!(error, Err(Error::TokenId { position, .. }) if position == at), "{error:?} at {at}");
        }
    }
    streamed.push_str(&decoder.finish());
    assert_eq!(streamed, text);
}
