//! Protobuf: written from, and read into, what the provider works with, without
//! generated messages in between.
//!
//! A generated message owns its strings and maps, so each call would allocate the
//! whole context and the whole response once more than needed. [`writer`] writes a
//! request to one buffer, and [`reader`] reads a response where it stands.
//!
//! Both agree with prost on what is valid and on what is not. Property tests
//! compare them on valid, mutated and random bytes. Streams, which are not
//! critical for speed, use prost's messages.
//!
//! A message is a sequence of fields, each of which is a key and a value; see
//! [Encoding]. The key is `number << 3 | wire type`:
//!
//! ```text
//! 08 01          field 1, varint: 1
//! 12 02 'o' 'k'  field 2, length-delimited, 2 bytes: a string, bytes or a message
//! 19 <8 bytes>   field 3, 64 bits: an f64, little-endian
//! ```
//!
//! Numbers and lengths are varints: 7 bits in each byte, the lowest first, and the
//! highest bit is set if more follow.
//!
//! [Encoding]: https://protobuf.dev/programming-guides/encoding/

pub(crate) mod reader;
pub(crate) mod response;
pub(crate) mod value;
pub(crate) mod writer;
