//! The generations of `fractional`. The type is here because both the options of
//! the provider and the evaluator have it, and either may be built without the
//! other.

/// The generation of the operator [`fractional`], which distributes users over
/// variants.
///
/// There are three generations. They give the same user different variants, so
/// programs that share flags must use the same one:
///
/// | generation | used by | bucket of a user |
/// |---|---|---|
/// | percentages, the oldest | Java provider 0.11, Rust engine 0.0.4 | the hash as a share of 100, in floats; not available here |
/// | [`String`](Self::String) | flagd up to 0.16.1, Python core 1.0, JavaScript core 4.0 (which differs for keys that are not ASCII) | `(hash * total weight) >> 32`, where the hash is that of the first argument if it is a string, otherwise of the flag's key followed by the targeting key |
/// | [`Cbor`](Self::Cbor) | accepted for flagd 1.0; Python core 2.0, Rust engine 0.1 | the same, but the hash is that of the CBOR encoding of the bucketing value, of any type but array and null, otherwise of the array of the flag's key and the targeting key |
///
/// The hash is murmur3 (x86, 32 bits, seed 0). The bucket is a position in the
/// running sum of the weights, and the first variant whose sum is greater is
/// chosen. "`fractional`" in `docs/flagd.md` has the details.
///
/// A provider takes the generation from the option `bucketing`, and only the
/// resolvers `in-process` and `file` use it: with `rpc`, flagd decides.
///
/// ```
/// # #[cfg(feature = "evaluator")]
/// # fn main() -> Result<(), flagstaff::evaluator::DefinitionError> {
/// use flagstaff::{Bucketing, evaluator::FlagSet};
///
/// let flags = FlagSet::parse(r#"{"flags": {}}"#)?.with_bucketing(Bucketing::Cbor);
/// # Ok(()) }
/// # #[cfg(not(feature = "evaluator"))]
/// # fn main() {}
/// ```
///
/// [`fractional`]: https://flagd.dev/reference/custom-operations/fractional-operation/
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Bucketing {
    /// The generation of flagd up to 0.16.1 (option value `string`).
    #[default]
    String,
    /// The generation that is accepted for flagd 1.0 (option value `cbor`).
    Cbor,
}
