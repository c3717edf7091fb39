//! Random numbers that follow from a seed, so that a run can be repeated.

/// A small generator of random numbers (`SplitMix64`).
pub struct Random(u64);

/// The distance from one state to the next.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Mixes the bits of a number.
pub fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

impl Random {
    /// Returns a generator for one of several users of a seed.
    pub fn new(seed: u64, user: u64) -> Self {
        Self(mixed(seed ^ mixed(user.wrapping_add(1).wrapping_mul(STEP))))
    }

    /// Returns any number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mixed(self.0)
    }

    /// Returns a number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Returns an index of a list of this length.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// Returns a number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// Returns true in `percent` of all cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// Returns one of several values.
    pub fn pick<'l, T>(&mut self, list: &'l [T]) -> &'l T {
        &list[self.index(list.len())]
    }

    /// Returns the length of a file. Empty and tiny files are common, and some fill several
    /// buffers.
    pub fn length(&mut self) -> u64 {
        match self.below(100) {
            0..8 => 0,
            8..30 => self.between(1, 300),
            30..65 => self.between(300, 20_000),
            65..90 => self.between(20_000, 150_000),
            90..98 => self.between(150_000, 700_000),
            _ => self.between(700_000, 3_000_000),
        }
    }
}

/// Writes the bytes that follow from a seed, from the offset `at` on. Every sixteenth byte ends
/// a line, and some bytes are CR, also before the end of a line.
pub fn fill(seed: u64, at: u64, out: &mut [u8]) {
    let word = |number: u64| mixed(seed.wrapping_add(number.wrapping_mul(STEP))).to_le_bytes();
    let (mut number, mut inside) = (at / 8, (at % 8) as usize);
    let mut bytes = word(number);
    for byte in out {
        if inside == 8 {
            (number, inside) = (number + 1, 0);
            bytes = word(number);
        }
        *byte = match bytes[inside] {
            0..16 => b'\n',
            16..20 => b'\r',
            other => other,
        };
        inside += 1;
    }
}
