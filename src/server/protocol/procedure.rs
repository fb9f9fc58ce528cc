//! The procedures of the evaluation service, and their paths.
//!
//! gRPC and Connect have the same paths: `/` service `/` procedure, such as
//! `/flagd.evaluation.v2.Service/ResolveBoolean`. They are case-sensitive.

/// The type of value that a client requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Boolean,
    String,
    Integer,
    Float,
    Object,
}

/// A version of the evaluation protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Version {
    /// It cannot distinguish a flag without a value from one whose value is zero.
    V1,
    /// Value and variant are optional.
    V2,
}

/// The services by path. The last one is the former name of version 1, with the
/// same messages.
const SERVICES: [(&str, Version); 3] = [
    ("/flagd.evaluation.v1.Service/", Version::V1),
    ("/flagd.evaluation.v2.Service/", Version::V2),
    ("/schema.v1.Service/", Version::V1),
];

/// The ends of the names of procedures, after `Resolve`.
const KINDS: [(&str, Kind); 5] = [
    ("Boolean", Kind::Boolean),
    ("String", Kind::String),
    ("Int", Kind::Integer),
    ("Float", Kind::Float),
    ("Object", Kind::Object),
];

/// A procedure of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Procedure {
    /// The evaluation of one flag.
    Resolve(Kind, Version),
    /// The evaluation of all flags, only in version 1.
    ResolveAll,
    /// The event stream, the same in both versions.
    EventStream,
}

impl Procedure {
    /// The procedure at a path; none if the path is unknown.
    pub(crate) fn at(path: &str) -> Option<Self> {
        let at = |(service, version): &(&str, _)| Some((*version, path.strip_prefix(service)?));
        let (version, name) = SERVICES.iter().find_map(at)?;
        match name {
            "EventStream" => Some(Self::EventStream),
            "ResolveAll" if version == Version::V1 => Some(Self::ResolveAll),
            _ => {
                let name = name.strip_prefix("Resolve")?;
                let (_, kind) = KINDS.iter().find(|(known, _)| *known == name)?;
                Some(Self::Resolve(*kind, version))
            }
        }
    }

    /// The path of the procedure, for metrics. Of several paths it is the one with
    /// the current name of the service, and version 1 if both versions have it.
    pub(crate) fn path(self) -> String {
        let (version, name) = match self {
            Self::Resolve(kind, version) => {
                let kind = KINDS.iter().find(|(_, known)| *known == kind);
                (version, format!("Resolve{}", kind.map_or("", |(name, _)| name)))
            }
            Self::ResolveAll => (Version::V1, "ResolveAll".to_owned()),
            Self::EventStream => (Version::V1, "EventStream".to_owned()),
        };
        let service = SERVICES.iter().find(|(_, known)| *known == version);
        format!("{}{name}", service.map_or("", |(service, _)| service))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn procedures_by_path() {
        let at = |path: &str| Procedure::at(path);
        let resolve = |kind, version| Some(Procedure::Resolve(kind, version));
        let v1 = "/flagd.evaluation.v1.Service/";
        assert_eq!(at(&format!("{v1}ResolveInt")), resolve(Kind::Integer, Version::V1));
        assert_eq!(at(&format!("{v1}ResolveAll")), Some(Procedure::ResolveAll));
        let v2 = "/flagd.evaluation.v2.Service/";
        assert_eq!(at(&format!("{v2}ResolveObject")), resolve(Kind::Object, Version::V2));
        assert_eq!(at(&format!("{v2}EventStream")), Some(Procedure::EventStream));
        for path in
            [format!("{v1}ResolveInt"), format!("{v2}ResolveFloat"), format!("{v1}ResolveAll")]
        {
            assert_eq!(at(&path).map(Procedure::path), Some(path));
        }
        let former = "/schema.v1.Service/ResolveBoolean";
        assert_eq!(at(former), resolve(Kind::Boolean, Version::V1));
        for path in [
            "",
            "/",
            "/flagd.evaluation.v",
            "/flagd.evaluation.vé",
            "/flagd.evaluation.v3.Service/ResolveInt",
        ] {
            assert_eq!(at(path), None, "{path}");
        }
        assert_eq!(at(&format!("{v2}ResolveAll")), None);
        assert_eq!(at(&format!("{v2}resolveint")), None);
    }
}
