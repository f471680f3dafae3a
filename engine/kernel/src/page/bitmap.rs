//! Free-space maps: which pages of a tablespace are in use, a bit each.
//!
//! Page 0 of a tablespace says what it is. Each run of [`PAGES`] pages has a map of its own, in the second page of the
//! run: map 0 is page 1, map 1 is page [`PAGES`] + 1. The bits begin at [`BITS`]; bit *i* of map *m* stands for page
//! *m* * [`PAGES`] + *i* and is set while that is in use. Map pages, and page 0, are always in use.

use super::PAGE_BYTES;
use super::access::Torn;

/// Where the bits begin.
pub const BITS: usize = 64;
/// Pages that one map speaks of.
pub const PAGES: u32 = ((PAGE_BYTES - BITS) * 8) as u32;

/// Number of the map page that speaks of page `number`, and the bit there.
pub const fn place(number: u32) -> (u32, u16) {
    (map_page(number / PAGES), (number % PAGES) as u16)
}

/// Number of the page that holds map `map`.
pub const fn map_page(map: u32) -> u32 {
    map * PAGES + 1
}

/// Whether bit `bit` is set.
pub fn get(page: &[u8; PAGE_BYTES], bit: u16) -> Result<bool, Torn> {
    let byte = page.get(BITS + usize::from(bit) / 8).ok_or(Torn)?;
    Ok(byte >> (bit % 8) & 1 == 1)
}

/// Sets or clears `bits` bits from `first` on.
pub fn set(page: &mut [u8; PAGE_BYTES], first: u16, bits: u16, to: bool) -> Result<(), Torn> {
    if u32::from(first) + u32::from(bits) > PAGES {
        return Err(Torn);
    }
    for bit in usize::from(first)..usize::from(first) + usize::from(bits) {
        let byte = &mut page[BITS + bit / 8];
        if to {
            *byte |= 1 << (bit % 8);
        } else {
            *byte &= !(1 << (bit % 8));
        }
    }
    Ok(())
}

/// First clear bit at or behind `from`.
pub fn first_clear(page: &[u8; PAGE_BYTES], from: u16) -> Option<u16> {
    let from = usize::from(from);
    (from / 8..PAGE_BYTES - BITS).find_map(|index| {
        let mut byte = page[BITS + index];
        if index == from / 8 {
            byte |= ((1_u16 << (from % 8)) - 1) as u8;
        }
        (byte != 0xff).then(|| (index * 8) as u16 + byte.trailing_ones() as u16)
    })
}

/// Bits that are set.
pub fn count(page: &[u8; PAGE_BYTES]) -> u32 {
    page[BITS..].iter().map(|byte| byte.count_ones()).sum()
}
