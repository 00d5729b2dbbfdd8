//! Every way of encoding against the definition, and back.

use crate::{Input, SUBJECTS};
use bloomery_core::{Allowed, Control};

/// Panics where they differ.
pub fn check(data: &[u8]) {
    let mut input = Input(data);
    let subject = &SUBJECTS[input.below(SUBJECTS.len())];
    let cuts = data;
    let (text, tokenizer, control) = (input.text(), &subject.tokenizer, Control::default());
    let ids = subject.ids(&text);
    assert_eq!(tokenizer.encode::<u32>(&text, &Allowed::All).expect("it is named"), ids, "{text:?}");
    assert_eq!(tokenizer.count(&text, &Allowed::All).expect("it is named"), ids.len());
    assert_eq!(
        tokenizer.encode_parallel::<u32>(&text.as_str().into(), &Allowed::All, Some(2), &control).expect("it is named"),
        ids
    );
    let narrow = tokenizer.encode_parallel::<u16>(&text.as_str().into(), &Allowed::All, Some(2), &control);
    assert!(narrow.expect("its vocabulary is small").into_iter().map(u32::from).eq(ids.iter().copied()), "{text:?}");
    assert_eq!(subject.streamed(&text, &mut Input(cuts)), ids, "streamed {text:?}");
    let (batch, offsets) = tokenizer
        .encode_batch::<u32>(&[text.as_str(), "", &text].map(Into::into), &Allowed::All, Some(2), &control)
        .expect("it is named");
    assert_eq!(batch, [ids.as_slice(), &ids].concat());
    assert_eq!(offsets, [0, ids.len() as u64, ids.len() as u64, 2 * ids.len() as u64]);
    let (same, spans) = tokenizer.encode_with_offsets(&text, &Allowed::All, &control).expect("it is named");
    assert_eq!((same.as_slice(), spans.len()), (ids.as_slice(), ids.len()));
    assert_eq!(tokenizer.decode(&ids).expect("they are its ids"), text);
}
