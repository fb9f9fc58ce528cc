//! Messages in envelopes, which gRPC and Connect's streams share.
//!
//! An envelope is a byte of flags, the length of the message as 32 bits, big
//! endian, and the message
//! ([gRPC](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md),
//! [Connect](https://connectrpc.com/docs/protocol#streaming-request)):
//!
//! ```text
//! 00 00 00 00 02  08 01     a message of 2 bytes
//! 02 00 00 00 02  7b 7d     Connect: the end of a stream, with "{}"
//! 01 ..                     a compressed message, which is rejected
//! ```
//!
//! Every request of flagd's protocols has exactly one message, so requests are
//! read whole and taken apart here. Responses are written straight into their
//! envelope: the length is filled in afterwards.

use http::{HeaderMap, HeaderName};
use prost::bytes::{Buf, BufMut, Bytes, BytesMut};
use tonic::Status;

use super::respond;

/// The size of the flags and the length, in bytes.
pub(crate) const PREFIX: usize = 5;

/// The only encoding of messages: none.
pub(crate) const IDENTITY: &str = "identity";

/// The flag of the envelope that ends a stream in Connect.
pub(crate) const END: u8 = 2;

/// The flag of a compressed message.
const COMPRESSED: u8 = 1;

/// Which envelopes a client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Only messages.
    Grpc,
    /// Messages, and possibly an envelope that ends them.
    Connect,
}

/// The message that `write` writes, in its envelope.
pub(crate) fn wrap(write: impl FnOnce(&mut BytesMut)) -> Bytes {
    flagged(0, write)
}

/// What `write` writes, in an envelope with these flags.
///
/// `write` must only append. A message of 4 GiB or more would get a wrong length;
/// files and URLs are limited to far less.
pub(crate) fn flagged(flags: u8, write: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut bytes = BytesMut::with_capacity(128);
    bytes.put_u8(flags);
    bytes.put_u32(0);
    write(&mut bytes);
    let length = u32::try_from(bytes.len() - PREFIX).unwrap_or(u32::MAX);
    bytes[1..PREFIX].copy_from_slice(&length.to_be_bytes());
    bytes.freeze()
}

/// Rejects a request whose messages are compressed according to this header.
///
/// # Errors
///
/// Returns `UNIMPLEMENTED`, with the remedy, for any encoding but `identity`.
pub(crate) fn not_encoded(headers: &HeaderMap, header: &HeaderName) -> Result<(), Status> {
    match headers.get(header) {
        Some(encoding) if !encoding.is_empty() && encoding != IDENTITY => {
            let encoding = respond::quoted(encoding);
            let text = format!("unknown compression {encoding}: send {IDENTITY}, or omit {header}");
            Err(Status::unimplemented(text))
        }
        _ => Ok(()),
    }
}

/// The one message of a request.
///
/// # Errors
///
/// Returns `UNIMPLEMENTED` for no message or several, `INVALID_ARGUMENT` for a
/// request that ends too early, and `INTERNAL` for flags that are not expected.
pub(crate) fn message(mut bytes: Bytes, framing: Framing) -> Result<Bytes, Status> {
    let message = next(&mut bytes, framing)?
        .ok_or_else(|| Status::unimplemented("the request contains no message"))?;
    match next(&mut bytes, framing)? {
        None => Ok(message),
        Some(_) => Err(Status::unimplemented("the request contains more than one message")),
    }
}

/// The next message; none at the end of the request or of Connect's stream.
fn next(bytes: &mut Bytes, framing: Framing) -> Result<Option<Bytes>, Status> {
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.len() < PREFIX {
        return Err(Status::invalid_argument("the request ends before the length of a message"));
    }
    let flags = bytes.get_u8();
    let promised = bytes.get_u32();
    let length = match usize::try_from(promised) {
        Ok(length) if length <= bytes.len() => length,
        _ => {
            let text =
                format!("the request ends {} bytes into a message of {promised}", bytes.len());
            return Err(Status::invalid_argument(text));
        }
    };
    match flags {
        0 => Ok(Some(bytes.split_to(length))),
        END if framing == Framing::Connect => Ok(None),
        flags if flags & COMPRESSED != 0 => {
            Err(Status::internal("a message is compressed, but no encoding was named"))
        }
        flags => Err(Status::internal(format!("a message has unknown flags: {flags}"))),
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn one_message_and_nothing_else() {
        let text = |text: &'static str| wrap(|out| out.put_slice(text.as_bytes()));
        let end = flagged(END, |out| out.put_slice(b"{}"));
        for framing in [Framing::Grpc, Framing::Connect] {
            assert_eq!(message(text("x"), framing).unwrap(), "x");
            assert_eq!(message(text(""), framing).unwrap(), "");
            let bytes = text("four");
            for (bytes, code) in [
                (Bytes::new(), Code::Unimplemented),
                (bytes.slice(..4), Code::InvalidArgument),
                (bytes.slice(..bytes.len() - 1), Code::InvalidArgument),
                (Bytes::from_static(&[0, 0xff, 0xff, 0xff, 0xff, 0]), Code::InvalidArgument),
                ([&*bytes, &*bytes].concat().into(), Code::Unimplemented),
                ([&*bytes, b"x"].concat().into(), Code::InvalidArgument),
                (flagged(1, |_| ()), Code::Internal),
                (flagged(3, |_| ()), Code::Internal),
                (flagged(4, |_| ()), Code::Internal),
                (flagged(128, |_| ()), Code::Internal),
            ] {
                assert_eq!(message(bytes.clone(), framing).unwrap_err().code(), code, "{bytes:?}");
            }
        }
        let ended = Bytes::from([&*text("x"), &*end].concat());
        assert_eq!(message(ended.clone(), Framing::Connect).unwrap(), "x");
        assert_eq!(message(ended, Framing::Grpc).unwrap_err().code(), Code::Internal);
        assert_eq!(message(end, Framing::Connect).unwrap_err().code(), Code::Unimplemented);
    }

    #[test]
    fn encodings() {
        const HEADER: HeaderName = HeaderName::from_static("grpc-encoding");
        let checked = |text: &'static str| {
            let header = (HEADER, http::HeaderValue::from_static(text));
            not_encoded(&HeaderMap::from_iter([header]), &HEADER).map_err(|status| status.code())
        };
        assert!(not_encoded(&HeaderMap::new(), &HEADER).is_ok());
        assert_eq!((checked("identity"), checked("")), (Ok(()), Ok(())));
        assert_eq!(
            (checked("gzip"), checked("br")),
            (Err(Code::Unimplemented), Err(Code::Unimplemented))
        );
    }
}
