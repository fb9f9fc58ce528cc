//! The generations of `fractional`: an option of the provider, and a choice of the evaluator.

/// The generation of `fractional`, which decides who gets which variant.
///
/// Three exist. They put one user into different variants, so that the same definition may answer
/// differently in programs of different languages:
///
/// | generation | who has it | bucket of a user |
/// |---|---|---|
/// | percentages, the oldest | Java provider 0.11, Rust engine 0.0.4 | the hash as a share of 100, in floats; not available here |
/// | [`String`](Self::String) | flagd to 0.16.1, Python core 1.0, JavaScript core 4.0 (which differs for keys that are not ASCII) | `(hash * total weight) >> 32` of the first argument if it is text, else of the flag's key followed by the targeting key |
/// | [`Cbor`](Self::Cbor), `cbor` as an option | accepted for flagd 1.0; Python core 2.0, Rust engine 0.1 | the same, but the hash is of the CBOR encoding of the first argument, whatever its type, else of the list of flag key and targeting key |
///
/// The hash is murmur3 (x86, 32 bits, seed 0); the bucket is a place in the running sum of weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Bucketing {
    /// What the newest flagd does.
    #[default]
    String,
    /// What is accepted for flagd 1.0.
    Cbor,
}
