//! Formats numbers faster than the standard formatter, because listings contain many of them.

/// Appends a number, padded with `fill` to a width of at most 20.
pub(super) fn push_number(number: u64, width: usize, fill: u8, out: &mut Vec<u8>) {
    let mut text = [fill; 20];
    let mut start = text.len();
    let mut left = number;
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (left % 10) as u8;
        left /= 10;
        start -= 1;
        if left == 0 {
            break;
        }
    }
    let start = start.min(text.len().saturating_sub(width));
    out.extend_from_slice(text.get(start..).unwrap_or_default());
}

/// Returns the two digits of a number below 100.
pub(super) fn digits(number: u64) -> [u8; 2] {
    [number / 10, number].map(|number| b'0' + (number % 10) as u8)
}

/// Appends a number in base 16 (4 bits per digit) or 8 (3 bits per digit), padded with zeros.
pub(super) fn push_digits<const BITS: u32>(number: u64, width: u32, out: &mut Vec<u8>) {
    let mut text = [b'0'; 22];
    let needed = (u64::BITS - number.leading_zeros()).div_ceil(BITS).max(1).max(width);
    let start = text.len().saturating_sub(needed as usize);
    let mut left = number;
    for digit in text.iter_mut().skip(start).rev() {
        let low = (left & ((1 << BITS) - 1) & 15) as u8;
        *digit = if low < 10 { b'0' + low } else { b'a' - 10 + low };
        left >>= BITS;
    }
    out.extend_from_slice(text.get(start..).unwrap_or_default());
}
