//! Conversions between the SDK and protobuf: total functions, no panics.
