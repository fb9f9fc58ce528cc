//! Compiles the protos of `proto/` in pure Rust (protox), so that nobody needs protoc. Without the
//! feature `rpc` there are none to compile, and no protobuf tool chain is built.
//!
//! Two outputs: `messages`, for the provider, and `services`, with clients and servers, for the
//! server and for the tests, examples and benchmarks of this package.

#[cfg(feature = "rpc")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    const PROTOS: [&str; 3] = [
        "flagd/evaluation/v1/evaluation.proto",
        "flagd/evaluation/v2/evaluation.proto",
        "flagd/sync/v1/sync.proto",
    ];
    println!("cargo::rerun-if-changed=proto");
    let out = std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    let descriptors = protox::compile(PROTOS, ["proto"])?;
    for (directory, services) in [("messages", false), ("services", true)] {
        let directory = std::path::Path::new(&out).join(directory);
        std::fs::create_dir_all(&directory)?;
        tonic_prost_build::configure()
            .build_client(services)
            .build_server(services)
            .out_dir(directory)
            .compile_fds(descriptors.clone())?;
    }
    Ok(())
}

#[cfg(not(feature = "rpc"))]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
