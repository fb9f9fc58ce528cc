//! The status codes of gRPC by name, and the message of a status.
//!
//! tonic shows codes with their descriptions ("The operation was cancelled"), but
//! options and messages have their names in the [specification].
//!
//! [specification]: https://grpc.github.io/grpc/core/md_doc_statuscodes.html

use std::borrow::Cow;

use tonic::{Code, Status};

use crate::excerpt::excerpt;

/// The server's message, cut and escaped as errors quote it.
pub(crate) fn said(status: &Status) -> Cow<'_, str> {
    excerpt(status.message())
}

/// All status codes, by their names in the gRPC specification.
const CODES: [(&str, Code); 17] = [
    ("OK", Code::Ok),
    ("CANCELLED", Code::Cancelled),
    ("UNKNOWN", Code::Unknown),
    ("INVALID_ARGUMENT", Code::InvalidArgument),
    ("DEADLINE_EXCEEDED", Code::DeadlineExceeded),
    ("NOT_FOUND", Code::NotFound),
    ("ALREADY_EXISTS", Code::AlreadyExists),
    ("PERMISSION_DENIED", Code::PermissionDenied),
    ("RESOURCE_EXHAUSTED", Code::ResourceExhausted),
    ("FAILED_PRECONDITION", Code::FailedPrecondition),
    ("ABORTED", Code::Aborted),
    ("OUT_OF_RANGE", Code::OutOfRange),
    ("UNIMPLEMENTED", Code::Unimplemented),
    ("INTERNAL", Code::Internal),
    ("UNAVAILABLE", Code::Unavailable),
    ("DATA_LOSS", Code::DataLoss),
    ("UNAUTHENTICATED", Code::Unauthenticated),
];

/// The name of a status code in the gRPC specification, such as
/// `DEADLINE_EXCEEDED`.
pub(crate) fn name_of(code: Code) -> &'static str {
    CODES.iter().find(|(_, other)| *other == code).map_or("UNKNOWN", |(name, _)| name)
}

/// The status code with this name, in upper or lower case; `None` if there is none.
pub(crate) fn code_named(name: &str) -> Option<Code> {
    CODES.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, code)| *code)
}
