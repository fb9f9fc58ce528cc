//! Compiles the protos of `proto/` in pure Rust (protox), so that nobody needs protoc.
//!
//! Two outputs: `messages`, for the provider, and `services`, with clients and servers, for the
//! server and for the tests, examples and benchmarks of this package.

use std::{env, error::Error, fs, path::PathBuf};

const PROTOS: [&str; 3] = [
    "flagd/evaluation/v1/evaluation.proto",
    "flagd/evaluation/v2/evaluation.proto",
    "flagd/sync/v1/sync.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    let descriptors = protox::compile(PROTOS, ["proto"])?;
    for (directory, services) in [("messages", false), ("services", true)] {
        let directory = out.join(directory);
        fs::create_dir_all(&directory)?;
        tonic_prost_build::configure()
            .build_client(services)
            .build_server(services)
            .out_dir(directory)
            .compile_fds(descriptors.clone())?;
    }
    Ok(())
}
