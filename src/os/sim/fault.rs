//! Faults: the n-th call fails, once or from then on.
//!
//! Callers: `sim`; tests.

use std::collections::BTreeMap;

/// A call of the seam that can fail. Stores through a mapping ([`MapMode::ReadWrite`]) are no calls.
///
/// [`MapMode::ReadWrite`]: crate::os::MapMode::ReadWrite
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs)]
pub enum Call {
    OpenDirectory,
    List,
    Create,
    Open,
    Rename,
    Unlink,
    SyncDirectory,
    Lock,
    Size,
    Read,
    Write,
    Allocate,
    Truncate,
    SyncData,
    SyncAll,
    Map,
    Populate,
    Random,
}

impl Call {
    /// Every call there is.
    pub const ALL: [Call; 18] = [
        Call::OpenDirectory,
        Call::List,
        Call::Create,
        Call::Open,
        Call::Rename,
        Call::Unlink,
        Call::SyncDirectory,
        Call::Lock,
        Call::Size,
        Call::Read,
        Call::Write,
        Call::Allocate,
        Call::Truncate,
        Call::SyncData,
        Call::SyncAll,
        Call::Map,
        Call::Populate,
        Call::Random,
    ];

    /// The errors that the real call can end with. EINTR is not among them: the real side never lets it
    /// through.
    pub fn errnos(self) -> &'static [i32] {
        use libc::{EACCES, EDQUOT, EFBIG, EIO, EMFILE, ENFILE, ENOLCK, ENOMEM, ENOSPC, EROFS};
        match self {
            Call::OpenDirectory | Call::Open => &[EIO, EMFILE, ENFILE, ENOMEM, EACCES],
            Call::Create => &[EIO, EMFILE, ENFILE, ENOMEM, EACCES, ENOSPC, EDQUOT, EROFS],
            Call::List => &[EIO, EMFILE, ENFILE, ENOMEM],
            Call::Rename => &[EIO, ENOSPC, EDQUOT, ENOMEM, EACCES, EROFS],
            Call::Unlink => &[EIO, ENOMEM, EACCES, EROFS],
            Call::Lock => &[EIO, EMFILE, ENOLCK, ENOMEM, EACCES, ENOSPC, EROFS],
            Call::Size => &[EIO, ENOMEM],
            Call::Read => &[EIO, ENOMEM],
            Call::Write | Call::Allocate => &[EIO, ENOSPC, EDQUOT, EFBIG],
            Call::Truncate => &[EIO, EFBIG],
            Call::SyncDirectory | Call::SyncData | Call::SyncAll => &[EIO, ENOSPC, EDQUOT],
            Call::Map => &[ENOMEM, EMFILE, EACCES],
            Call::Populate => &[EIO, ENOSPC, ENOMEM],
            Call::Random => &[EIO],
        }
    }
}

/// How long a fault lasts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Duration {
    /// One call fails.
    Once,
    /// All later calls of the same kind (and name, if one was given) fail too.
    SameCall,
    /// All later calls that can end with this errno fail too.
    EveryCall,
}

/// A plan to let a call fail: `Fault::nth(3, libc::EIO).on(Call::SyncData).lasting(Duration::SameCall)`.
#[derive(Clone, Debug)]
pub struct Fault {
    nth: u64,
    errno: i32,
    call: Option<Call>,
    name: Option<String>,
    duration: Duration,
    partial: bool,
}

impl Fault {
    /// The `nth` call (from 1) of those that can end with `errno` does so; once, with nothing done before.
    pub fn nth(nth: u64, errno: i32) -> Fault {
        Fault { nth, errno, call: None, name: None, duration: Duration::Once, partial: false }
    }

    /// Counts only calls of this kind, which fail even if the real one could not.
    #[must_use]
    pub fn on(mut self, call: Call) -> Fault {
        self.call = Some(call);
        self
    }

    /// Counts only calls about names that contain `name`.
    #[must_use]
    pub fn named(mut self, name: &str) -> Fault {
        self.name = Some(name.to_string());
        self
    }

    /// How long it lasts.
    #[must_use]
    pub fn lasting(mut self, duration: Duration) -> Fault {
        self.duration = duration;
        self
    }

    /// A failing write writes the first half of its bytes before.
    #[must_use]
    pub fn partial(mut self) -> Fault {
        self.partial = true;
        self
    }
}

/// What a call that fails does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Failure {
    pub(super) errno: i32,
    pub(super) partial: bool,
}

/// The plan and the count of calls.
#[derive(Default, Debug)]
pub(super) struct Faults {
    plan: Option<Fault>,
    matched: u64,
    fired: Option<(Call, String)>,
    hits: u64,
    calls: BTreeMap<Call, u64>,
}

impl Faults {
    /// Replaces the plan and starts its count; `None` ends all faults.
    pub(super) fn set(&mut self, plan: Option<Fault>) {
        (self.plan, self.matched, self.fired, self.hits) = (plan, 0, None, 0);
    }

    pub(super) fn hits(&self) -> u64 {
        self.hits
    }

    pub(super) fn fired(&self) -> Option<(Call, String)> {
        self.fired.clone()
    }

    pub(super) fn calls(&self) -> &BTreeMap<Call, u64> {
        &self.calls
    }

    /// Counts a call; whether it is to fail.
    pub(super) fn on_call(&mut self, call: Call, name: &str) -> Option<Failure> {
        *self.calls.entry(call).or_default() += 1;
        let plan = self.plan.as_ref()?;
        let name_matches = plan.name.as_ref().is_none_or(|part| name.contains(part.as_str()));
        let fails = match &self.fired {
            Some((fired, _)) => match plan.duration {
                Duration::Once => false,
                Duration::SameCall => call == *fired && name_matches,
                Duration::EveryCall => call == *fired || call.errnos().contains(&plan.errno),
            },
            None => {
                let matches = match plan.call {
                    Some(wanted) => wanted == call,
                    None => call.errnos().contains(&plan.errno),
                };
                self.matched += u64::from(matches && name_matches);
                matches && name_matches && self.matched == plan.nth
            }
        };
        if !fails {
            return None;
        }
        self.fired.get_or_insert_with(|| (call, name.to_string()));
        self.hits += 1;
        Some(Failure { errno: plan.errno, partial: plan.partial })
    }
}
