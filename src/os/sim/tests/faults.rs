//! Calls that fail.

use super::*;

/// Calls everything there is once or more; stops at the first error.
fn call_everything(os: &SimOs) -> Result<()> {
    let directory = os.open_directory(Path::new(PATH), true)?;
    let _lock = directory.lock("LOCK")?;
    os.random(&mut [0; 8])?;
    directory.list()?;
    let file = directory.create("tmp")?;
    file.allocate(8192)?;
    file.write_at(b"abcd", 0)?;
    file.sync_all()?;
    directory.rename("tmp", "f")?;
    directory.sync()?;
    let map = file.map(8192, MapMode::ReadWrite)?;
    map.populate(0, 8192)?;
    file.sync_data()?;
    let again = directory.open("f", Access::ReadWrite)?;
    again.size()?;
    again.read_at(&mut [0; 4], 0)?;
    again.truncate(4)?;
    let map = again.map(4, MapMode::Pwrite)?;
    // SAFETY: nobody else uses the range.
    unsafe { map.write(0, b"efgh") }?;
    directory.unlink("f")
}

#[test]
fn a_fault_loop_reaches_every_call() {
    let os = SimOs::new(1);
    call_everything(&os).unwrap();
    let calls = os.calls().unwrap();
    assert!(Call::ALL.iter().all(|call| calls.contains_key(call)), "{calls:?}");
    let errnos: BTreeSet<i32> = Call::ALL.iter().flat_map(|call| call.errnos()).copied().collect();
    for errno in errnos {
        let can_fail = |call: &Call| call.errnos().contains(&errno);
        let expected: u64 = calls.iter().filter(|(call, _)| can_fail(call)).map(|(_, count)| count).sum();
        for n in 1.. {
            let os = SimOs::new(1);
            os.set_fault(Some(Fault::nth(n, errno))).unwrap();
            let result = call_everything(&os);
            if os.fault_hits().unwrap() == 0 {
                result.unwrap();
                assert_eq!(n - 1, expected);
                break;
            }
            assert_eq!(result.unwrap_err().errno(), errno);
        }
    }
    // And by kind, with each errno that the call can return.
    for call in Call::ALL {
        for &errno in call.errnos() {
            let os = SimOs::new(1);
            os.set_fault(Some(Fault::nth(1, errno).on(call))).unwrap();
            assert_eq!(call_everything(&os).unwrap_err().errno(), errno, "{call:?}");
        }
    }
}

#[test]
fn faults_last_as_long_as_planned_and_stay_with_their_name() {
    let (os, directory) = disk();
    let (a, b) = (durable_file(&directory, "a", b"x"), durable_file(&directory, "b", b"x"));
    let plan = Fault::nth(2, libc::EIO).on(Call::SyncData);
    os.set_fault(Some(plan.clone())).unwrap();
    let syncs = |file: &dyn File| [(); 4].map(|()| file.sync_data().is_ok());
    assert_eq!(syncs(&*a), [true, false, true, true]);
    os.set_fault(Some(plan.clone().lasting(Duration::SameCall))).unwrap();
    assert_eq!(syncs(&*a), [true, false, false, false]);
    assert!(a.sync_all().is_ok() && b.sync_data().is_err());
    os.set_fault(Some(plan.clone().named("a").lasting(Duration::SameCall))).unwrap();
    assert_eq!((syncs(&*b), syncs(&*a)), ([true; 4], [true, false, false, false]));
    assert!(b.sync_data().is_ok());
    os.set_fault(Some(plan.lasting(Duration::EveryCall))).unwrap();
    assert_eq!(syncs(&*a), [true, false, false, false]);
    assert!(b.sync_all().is_err() && directory.list().is_err());
    assert_eq!(os.fault_hits().unwrap(), 5);
    os.set_fault(None).unwrap();
    assert!(a.sync_data().is_ok() && directory.list().is_ok());
    // A full disk stays full, but can be read.
    os.set_fault(Some(Fault::nth(1, libc::ENOSPC).lasting(Duration::EveryCall))).unwrap();
    assert_eq!(a.size().unwrap(), 1);
    a.write_at(b"y", 0).unwrap_err();
    assert!(directory.create("c").is_err() && a.read_at(&mut [0], 0).is_ok());
}

#[test]
fn a_failing_write_may_leave_a_part() {
    let (os, directory) = disk();
    let file = durable_file(&directory, "f", b"........");
    os.set_fault(Some(Fault::nth(1, libc::EIO).on(Call::Write).partial())).unwrap();
    file.write_at(b"12345678", 0).unwrap_err();
    assert_eq!(read(&*file, 0, 8), b"1234....");
    os.set_fault(Some(Fault::nth(1, libc::EIO).on(Call::Write))).unwrap();
    file.write_at(b"abcd", 4).unwrap_err();
    assert_eq!(read(&*file, 0, 8), b"1234....");
    assert_eq!(os.image().unwrap().read("/store/f"), some(b"1234...."));
}
