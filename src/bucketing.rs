//! The generations of `fractional`: an option of the provider, and a choice of the evaluator.

/// The generation of `fractional`, which decides who gets which variant.
///
/// | generation | who has it | what is hashed |
/// |---|---|---|
/// | [`Text`](Self::Text) | flagd to 0.16.1 | the first argument if it is text, else the flag's key and the targeting key |
/// | [`Cbor`](Self::Cbor) | accepted for flagd 1.0 | the CBOR encoding of the first argument whatever its type, else of the list of both keys |
///
/// Both hash with murmur3 (x86, 32 bits, seed 0), and take `hash * weights >> 32` for the place in
/// the running sum of weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Bucketing {
    /// What the newest flagd does.
    #[default]
    Text,
    /// What is accepted for flagd 1.0.
    Cbor,
}
