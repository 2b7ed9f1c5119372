//! Seeded random numbers, and the distributions of the simulation.

/// `SplitMix64` (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The same seed gives the same numbers.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 (included) to 1 (excluded).
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    pub fn part(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number below `end`, which is not 0.
    pub const fn below(&mut self, end: u64) -> u64 {
        self.bits() % end
    }

    /// The pause to the next event of a Poisson process with this mean pause.
    pub fn pause(&mut self, mean: f64) -> f64 {
        -(1.0 - self.part()).ln() * mean
    }
}

/// Numbers from 0 on, each with a probability.
#[derive(Clone, Debug)]
pub struct Weights(Vec<f64>);

impl Weights {
    /// Probabilities in proportion to these weights, of which one at least is above 0.
    pub fn new(weights: impl IntoIterator<Item = f64>) -> Self {
        let mut sum = 0.0;
        let mut sums: Vec<f64> = weights
            .into_iter()
            .map(|weight| {
                sum += weight;
                sum
            })
            .collect();
        for part in &mut sums {
            *part /= sum;
        }
        Self(sums)
    }

    /// Zipf's law: the number `n` has a weight of `1 / (n + 1)^exponent`. An exponent of 0 gives all the same.
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    pub fn zipf(len: usize, exponent: f64) -> Self {
        Self::new((1..=len).map(|rank| (rank as f64).powf(-exponent)))
    }

    /// A random number.
    pub fn draw(&self, random: &mut Random) -> usize {
        let part = random.part();
        let place = self.0.partition_point(|sum| *sum <= part);
        place.min(self.0.len().saturating_sub(1))
    }

    /// The probability of a number.
    pub fn part(&self, number: usize) -> f64 {
        let before = number.checked_sub(1).and_then(|before| self.0.get(before));
        self.0.get(number).copied().unwrap_or(0.0) - before.copied().unwrap_or(0.0)
    }
}
