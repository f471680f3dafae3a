//! A free-space map against a row of booleans.

use super::{each_seed, empty};
use crate::page::bitmap::{self, PAGES};
use crate::page::header::PageKind;

#[test]
fn a_map_holds_the_bits_that_its_model_holds() {
    each_seed(10, |rng| {
        let mut page = empty(PageKind::Bitmap);
        let before = page.clone();
        let mut model = vec![false; PAGES as usize];
        for _ in 0..300 {
            let first = rng.below(u64::from(PAGES)) as u16;
            let bits = rng.below([2, 20, 3000][rng.below(3) as usize]) as u16;
            let to = rng.below(3) > 0;
            let range = usize::from(first)..usize::from(first) + usize::from(bits);
            match model.get_mut(range) {
                Some(range) => {
                    bitmap::set(&mut page, first, bits, to).expect("within the map");
                    range.fill(to);
                }
                None => {
                    let unchanged = page.clone();
                    assert!(bitmap::set(&mut page, first, bits, to).is_err());
                    assert_eq!(page, unchanged);
                }
            }
            let from = rng.below(u64::from(PAGES)) as usize;
            let expected = (from..model.len()).find(|&bit| !model[bit]);
            assert_eq!(bitmap::first_clear(&page, from as u16).map(usize::from), expected);
            assert_eq!(bitmap::get(&page, from as u16), Ok(model[from]));
            let set = model.iter().filter(|bit| **bit).count();
            assert_eq!(bitmap::count(&page) as usize, set);
        }
        assert_eq!(page[..bitmap::BITS], before[..bitmap::BITS], "the header stays");
    });
}

#[test]
fn a_full_map_has_no_clear_bit() {
    let mut page = empty(PageKind::Bitmap);
    bitmap::set(&mut page, 0, PAGES as u16, true).expect("all bits");
    assert_eq!(bitmap::first_clear(&page, 0), None);
    bitmap::set(&mut page, PAGES as u16 - 1, 1, false).expect("the last bit");
    assert_eq!(bitmap::first_clear(&page, 0), Some(PAGES as u16 - 1));
    assert_eq!(
        bitmap::first_clear(&page, PAGES as u16 - 1),
        Some(PAGES as u16 - 1)
    );
}

#[test]
fn each_page_has_one_bit_and_each_run_its_map() {
    assert_eq!(bitmap::place(0), (1, 0));
    assert_eq!(bitmap::place(1), (1, 1));
    assert_eq!(bitmap::place(PAGES - 1), (1, (PAGES - 1) as u16));
    assert_eq!(bitmap::place(PAGES), (PAGES + 1, 0));
    for map in [0, 1, 7] {
        let page = bitmap::map_page(map);
        assert_eq!(
            bitmap::place(page),
            (page, 1),
            "a map stands in the run that it is of"
        );
    }
}
