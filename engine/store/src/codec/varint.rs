//! Variable-length integers and length-prefixed bytes.

/// Appends `value` in LEB128: seven bits a byte, lowest first, the top bit set on all but the last.
pub(crate) fn put_u64(out: &mut Vec<u8>, value: u64) {
    put_u128(out, u128::from(value));
}

pub(crate) fn put_u128(out: &mut Vec<u8>, mut value: u128) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed integer, zigzag-coded so that small magnitudes stay short.
pub(crate) fn put_i64(out: &mut Vec<u8>, value: i64) {
    put_u64(out, ((value << 1) ^ (value >> 63)) as u64);
}

pub(crate) fn put_i128(out: &mut Vec<u8>, value: i128) {
    put_u128(out, ((value << 1) ^ (value >> 127)) as u128);
}

/// Appends a length and the bytes.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u64(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Takes apart what the `put_` functions wrote. Every answer is `None` when the bytes end or overflow.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.bytes)
    }

    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(len)?;
        self.bytes = rest;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for (place, &byte) in self.bytes.iter().take(10).enumerate() {
            let bits = u64::from(byte & 0x7F);
            if place == 9 && bits > 1 {
                return None;
            }
            value |= bits << (7 * place);
            if byte & 0x80 == 0 {
                self.bytes = &self.bytes[place + 1..];
                return Some(value);
            }
        }
        None
    }

    pub(crate) fn u128(&mut self) -> Option<u128> {
        let mut value = 0u128;
        for (place, &byte) in self.bytes.iter().take(19).enumerate() {
            let bits = u128::from(byte & 0x7F);
            if place == 18 && bits > 3 {
                return None;
            }
            value |= bits << (7 * place);
            if byte & 0x80 == 0 {
                self.bytes = &self.bytes[place + 1..];
                return Some(value);
            }
        }
        None
    }

    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.u64()
            .map(|coded| ((coded >> 1) as i64) ^ -((coded & 1) as i64))
    }

    pub(crate) fn i128(&mut self) -> Option<i128> {
        self.u128()
            .map(|coded| ((coded >> 1) as i128) ^ -((coded & 1) as i128))
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.u64()?).ok()?;
        self.take(len)
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn integers_come_back_at_their_limits() {
        for value in [0, 1, -1, 63, 64, -64, -65, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            put_i64(&mut out, value);
            put_i128(&mut out, i128::from(value) << 64);
            let mut reader = Reader::new(&out);
            assert_eq!(reader.i64(), Some(value));
            assert_eq!(reader.i128(), Some(i128::from(value) << 64));
            assert!(reader.is_empty());
        }
        for value in [u64::MAX, 127, 128, 0] {
            let mut out = Vec::new();
            put_u64(&mut out, value);
            assert_eq!(Reader::new(&out).u64(), Some(value));
        }
        let mut out = Vec::new();
        put_i128(&mut out, i128::MIN);
        put_i128(&mut out, i128::MAX);
        let mut reader = Reader::new(&out);
        assert_eq!((reader.i128(), reader.i128()), (Some(i128::MIN), Some(i128::MAX)));
    }

    #[test]
    fn cut_or_overlong_bytes_are_refused() {
        assert_eq!(Reader::new(&[0x80]).u64(), None);
        assert_eq!(Reader::new(&[0xFF; 11]).u64(), None);
        assert_eq!(Reader::new(&[0xFF; 20]).u128(), None);
        assert_eq!(Reader::new(&[5, 1, 2]).bytes(), None);
        assert_eq!(Reader::new(&[2, 0xC3, 0x28]).text(), None);
    }
}
