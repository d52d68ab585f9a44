//! Crashes: an image of the disk is recovered, and holds the commits up to one of them, every durable one
//! included. The run goes on with it.

use tinystoredb::os::sim::{Replay, SimOs, Unwritten, Variant};
use tinystoredb::{Lsn, Options, Store, SyncMode};

use super::bench::{Bench, Outcome, PATH, live};
use super::map::{Entry, Key, View};
use super::operation::Loss;

/// All that a store holds.
fn content(store: &Store) -> Outcome<Vec<(Key, Entry)>> {
    let mut found = Vec::new();
    let mut scan = store.scan(b"").map_err(live)?;
    while let Some(record) = scan.next().map_err(live)? {
        let expiry = store.expiry(record.key).map_err(live)?.ok_or("a scan's key without a value")?;
        let entry = Entry { bytes: record.value.to_vec(), value_type: record.value_type, expiry };
        found.push((record.key.to_vec(), entry));
    }
    Ok(found)
}

impl Bench {
    /// The machine, or the process, died `back` operations of the disk ago, within this session.
    pub fn crash(&mut self, back: u16, loss: Loss, sync_mode: SyncMode) -> Outcome {
        let trace = self.os.trace().map_err(live)?;
        let first = self.promises.first().map_or(0, |promise| promise.position);
        let reach = trace.end() - first + 1;
        // Mostly a few steps back.
        let back = if back.is_multiple_of(3) {
            usize::from(back) % reach
        } else {
            usize::from(back) % reach.min(12)
        };
        let position = trace.end() - back;
        let variant = match loss {
            Loss::Kill => Variant::Killed,
            Loss::Nothing => Variant::Nothing,
            Loss::Everything => Variant::Everything,
            Loss::First(count) => Variant::First(usize::from(count)),
            Loss::Random(number) => Variant::Random(u64::from(number)),
            Loss::Torn(unit, cut) => Variant::Torn {
                unit: usize::from(unit),
                cut: usize::from(cut % 600) * 8,
                head: cut % 7 != 0,
                later: cut % 2 == 0,
            },
        };
        let replay = Replay { seed: trace.seed(), position, variant, unwritten: Unwritten::Zeros };
        let image = trace.image(&replay).map_err(live)?;
        let reached = |promise: &&super::bench::Promise| promise.position <= position;
        let promise = self.promises.iter().rev().find(reached);
        let promise = promise.ok_or("a crash before the session")?;
        let least = if image.is_kill() { promise.acknowledged } else { promise.durable };
        let later = self.promises.iter().find(|promise| promise.position > position);
        let most = later.map_or(self.map.last, |promise| promise.acknowledged);

        let os = SimOs::from_image(&image);
        // Nothing has expired by then: what is compared is all there is.
        os.set_now(i64::MIN).map_err(live)?;
        let options = Options { sync_mode, ..self.options.clone() };
        let store = Store::open_on(os.clone(), PATH, &options).map_err(live)?;
        let last = store.stats().map_err(live)?.last_lsn;
        let found = content(&store)?;
        let is_found = |end: &Lsn| {
            let view = View { lsn: *end, now: i64::MIN };
            *end <= last
                && self.map.all(view).map(|(key, entry)| (key.clone(), entry.clone())).eq(found.clone())
        };
        let ends = self.map.ends(least, most);
        let Some(end) = ends.iter().copied().find(is_found) else {
            return Err(format!(
                "a crash ({replay}) left {} records after {last} operations, which no end of a commit from \
                 {least} to {most} gives: {ends:?}",
                found.len()
            ));
        };
        self.map.cut(end, last);
        os.set_now(self.now).map_err(live)?;
        self.drop_readers();
        self.store = store;
        self.os = os;
        self.options = options;
        self.durable = last;
        self.promises.clear();
        self.promise()?;
        self.everything()?;
        self.statistics()
    }
}
