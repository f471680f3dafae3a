//! Parts of long values.

use super::{each_seed, id, random_bytes};
use crate::ids::{PageId, TablespaceId};
use crate::page::overflow::{self, CONTENT_BYTES, Pointer};
use crate::page::{PageBuf, Torn};

#[test]
fn a_chain_gives_the_value_back_and_no_page_stands_for_another() {
    each_seed(30, |rng| {
        let value = random_bytes(rng, 5 * CONTENT_BYTES as u64);
        let pages: Vec<PageBuf> = value
            .chunks(CONTENT_BYTES)
            .enumerate()
            .map(|(place, content)| {
                let mut page = PageBuf::zeroed();
                let last = (place + 1) * CONTENT_BYTES >= value.len();
                let next = (!last).then(|| PageId::new(TablespaceId::MAIN, place as u32 + 100));
                overflow::format(&mut page, id(), 5, place as u32, next, content);
                page
            })
            .collect();
        let pointer = Pointer {
            bytes: value.len() as u32,
            first: id(),
        };
        assert_eq!(Pointer::parse(&pointer.to_bytes()), Ok(pointer));
        assert_eq!(pointer.pages(), pages.len());
        let mut whole = Vec::new();
        for (place, page) in pages.iter().enumerate() {
            let next = overflow::read_into(&**page, 5, place as u32, &mut whole).expect("the page");
            let expected =
                (place + 1 < pages.len()).then(|| PageId::new(TablespaceId::MAIN, place as u32 + 100));
            assert_eq!(next, expected);
            assert_eq!(overflow::next(&**page, 5, place as u32), Ok(expected));
            let before = whole.len();
            assert_eq!(
                overflow::read_into(&**page, 6, place as u32, &mut whole),
                Err(Torn)
            );
            assert_eq!(
                overflow::read_into(&**page, 5, place as u32 + 1, &mut whole),
                Err(Torn)
            );
            assert_eq!(whole.len(), before);
        }
        assert_eq!(whole, value);
    });
}

#[test]
fn a_pointer_of_another_length_or_to_no_page_is_refused() {
    assert_eq!(Pointer::parse(&[0; 11]), Err(Torn));
    assert_eq!(Pointer::parse(&[0; 13]), Err(Torn));
    assert_eq!(Pointer::parse(&[0xff; 12]), Err(Torn));
}
