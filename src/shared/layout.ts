/**
 * The shared memory of one log: every word, who changes it, who waits on it, and what always holds. One region of
 * shared memory holds, in this order: the control words below, the staging-slot lines, one pair of lines per client,
 * one position code per ring granule, the ring, and (page aligned) the staging buffers.
 *
 * A word is an Int32, named by its index; `wide` words are 64 bit (two words, even index) and named likewise.
 * Words that are contended stand in a 64-byte line of their own. `lock` means: only the holder of the commit-lock.
 */

/** Words per 64-byte cache line. */
export const LINE_WORDS = 16

// word | name                     | changed by      | waited on by | invariant
// ---- configuration: written once, before the handle exists
//   0  | MAGIC                    | opener          | -            | LAYOUT_MAGIC
export const MAGIC = 0
//   1  | LAYOUT_VERSION           | opener          | -            | all threads of a log run the same version
export const LAYOUT_VERSION_WORD = 1
//   2  | RING_GRANULES            | opener          | -            | a power of two
export const RING_GRANULES = 2
//   3  | MAX_RESERVATION_GRANULES | opener          | -            | <= RING_GRANULES / 2, fits one staging buffer
export const MAX_RESERVATION_GRANULES = 3
//   4  | SLOT_COUNT               | opener          | -            | 1, 2, 4 or 8
export const SLOT_COUNT = 4
//   5  | SLOT_BYTES               | opener          | -            | a multiple of BLOCK_BYTES
export const SLOT_BYTES = 5
//   6  | MAX_CLIENTS              | opener          | -            | <= MAX_CLIENTS_LIMIT
export const MAX_CLIENTS = 6
//   7  | BLOCK_BYTES              | opener          | -            | >= 4096, a power of two
export const BLOCK_BYTES = 7
//   8  | SYNC_METHOD              | opener          | -            | index into SYNC_METHODS
export const SYNC_METHOD = 8
//   9  | SEGMENT_BYTES            | opener          | -            | < 2^31, of new segments
export const SEGMENT_BYTES = 9
//  10  | SEAL_IDLE_MS             | opener          | -            | 0: no idle seal
export const SEAL_IDLE_MS = 10
//  11  | COMMITTER_RECORDS        | opener          | -            | >= 1; with so many records waiting, the committer leads
export const COMMITTER_RECORDS = 11
//  12  | OPENED_DURABLE (wide)    | opener          | -            | DURABLE_LSN when the log was opened
export const OPENED_DURABLE = 12
//  14  | OPENED_NEXT (wide)       | opener          | -            | the LSN that the log went on with; those between the two stand for no record
export const OPENED_NEXT = 14
// ---- the ring
//  16  | RESERVATION (wide)       | producers (CAS) | -            | sequence << 32 | position of the next record; only grows
export const RESERVATION = 16
//  32  | HEAD                     | lock            | -            | position; granules before it are free; <= position of RESERVATION
export const HEAD = 32
//  48  | LOCK                     | clients (CAS)   | -            | 0, or owner word of the leader that stages
export const LOCK = 48
// ---- staging: only under the commit-lock
//  80  | STAGED_COUNT             | lock            | -            | frames ever staged; PUBLISHED_COUNT <= it <= PUBLISHED_COUNT + SLOT_COUNT
export const STAGED_COUNT = 80
//  81  | LAST_FRAME_FLAGS         | lock            | -            | flags of the newest staged frame (is it a seal?)
export const LAST_FRAME_FLAGS = 81
//  82  | HEAD_LSN (wide)          | lock            | -            | LSN of the record at HEAD; everything below it is staged
export const HEAD_LSN = 82
//  84  | WRITE_OFFSET (wide)      | lock            | -            | where the next frame goes in SEGMENT
export const WRITE_OFFSET = 84
//  86  | FRAME_SEQUENCE (wide)    | lock            | -            | of the next frame
export const FRAME_SEQUENCE = 86
//  88  | PREVIOUS_OFFSET (wide)   | lock            | -            | of the newest staged frame
export const PREVIOUS_OFFSET = 88
//  90  | PREVIOUS_CHECKSUM        | lock            | -            | header checksum of the newest staged frame
export const PREVIOUS_CHECKSUM = 90
// 104  | PREVIOUS_SEGMENT (wide)  | lock            | -            | segment of the newest staged frame
export const PREVIOUS_SEGMENT = 104
// 106  | PREVIOUS_END (wide)      | lock            | -            | offset behind that frame
export const PREVIOUS_END = 106
// 108  | RECENT_RECORDS           | lock            | -            | with several slots: about the most records of the last few frames, a hint
export const RECENT_RECORDS = 108
//  91  | SEGMENT_LIMIT            | lock            | -            | bytes; frames of SEGMENT end at or before it
export const SEGMENT_LIMIT = 91
//  92  | SEGMENT (wide)           | lock            | -            | sequence of the segment that is written
export const SEGMENT = 92
//  94  | SALT_LOW, SALT_HIGH      | lock            | -            | salt of that segment
export const SALT_LOW = 94
export const SALT_HIGH = 95
// ---- publication
//  96  | PUBLISHED_COUNT          | completers (CAS)| -            | frames ever published as durable (or given up by resume), in order
export const PUBLISHED_COUNT = 96
//  97  | LAST_COMMIT_FAILED       | completers      | -            | 1 after a failed batch, 0 after a durable one; for show, no verdict is read from it
export const LAST_COMMIT_FAILED = 97
//  98  | DURABLE_LSN (wide)       | completers (max)| -            | < HEAD_LSN, never falls
export const DURABLE_LSN = 98
// ---- phase and failure
// 112  | PHASE                    | see phase.ts    | opener       | era << 4 | phase; the era grows with every change
export const PHASE = 112
// 113  | FAILURE_ERRNO            | first failure   | -            | errno of the failure that poisoned the log, 0 for a short write
export const FAILURE_ERRNO = 113
// 114  | FAILURE_CALL             | first failure   | -            | index into FAILURE_CALLS
export const FAILURE_CALL = 114
// 120  | RESUMED_FROM (wide)      | resume          | -            | first LSN after the newest resume; what failed below it is written down
export const RESUMED_FROM = 120
// 115  | FAILED_RANGE_COUNT       | resume          | -            | rows of FAILED_RANGES that are valid; a row never changes
export const FAILED_RANGE_COUNT = 115
// 116  | FAILED_FROM (wide)       | completers (min)| -            | > DURABLE_LSN; while poisoned, every LSN from here on has failed
export const FAILED_FROM = 116
// 118  | INDETERMINATE_TO (wide)  | settlers (max)  | -            | final once the phase is SETTLED
export const INDETERMINATE_TO = 118
// 122  | ABANDONED                | lock            | -            | 1: close() gave up on a log that had not failed; fixed while the phase is CLOSED
export const ABANDONED = 122
// ---- space, internal workers
// 144  | SPACE, SPACE_WANTED      | leader/waiter   | full ring    | SPACE grows when ring space was freed and SPACE_WANTED was set
export const SPACE = 144
export const SPACE_WANTED = 145
// 160  | DOORBELL                 | anybody         | committer    | a counter
export const DOORBELL = 160
// 161  | COMMITTER_SLEEPING       | committer       | -            | COMMITTER_AWAKE, _IDLE or _BUSY: stored before its last look at the ring
export const COMMITTER_SLEEPING = 161
// 162  | COMMITTER_CLIENT         | committer, clients | -         | its client number, 0 before it started and after it was found to be gone
export const COMMITTER_CLIENT = 162
// 164  | COMMITTER_DUTY           | ringers/committer| -           | 1: somebody who does not lead published; whoever frees a slot rings
export const COMMITTER_DUTY = 164
// 163  | STOP                     | opener          | -            | 1: internal workers end
export const STOP = 163
// 176  | KEEPER_BELL              | anybody         | keeper       | a counter
export const KEEPER_BELL = 176
// 177  | ROOM_WANTED              | lock / keeper   | -            | 1: a leader cannot go on before the keeper made room
export const ROOM_WANTED = 177
// 178  | ROOM_ERRNO               | keeper / lock   | -            | why the room that was wanted could not be made
export const ROOM_ERRNO = 178
// 179  | KEEPER_CLIENT            | keeper          | -            | its client number, 0 before it started
export const KEEPER_CLIENT = 179
// 180  | READY                    | keeper / lock   | -            | 0 no next segment; 1 READY_* are valid; 2 a leader is rotating to it
export const READY = 180
// 181  | READY_SALT_LOW, _HIGH    | keeper          | -            | fixed while READY is not 0
export const READY_SALT_LOW = 181
export const READY_SALT_HIGH = 182
// 184  | READY_SEGMENT (wide)     | keeper          | -            | fixed while READY is not 0
export const READY_SEGMENT = 184
// 186  | ZEROED (wide)            | keeper / lock   | -            | (SEGMENT mod 2^20) << 32 | offset; frames end at or before the offset, the keeper writes zeros only behind it
export const ZEROED = 186
// 188  | KEEPER_WORKING           | keeper          | -            | 1: files are being made; only begun while the log is not failed
export const KEEPER_WORKING = 188
// 192  | CLIENTS_USED             | connectors (max)| -            | client lines above it were never used
export const CLIENTS_USED = 192

/** First of the 64-bit counters of stats.ts. */
export const STATS = 208
export const STATS_COUNT = 24
/** One bit per client: it waits, by Atomics.waitAsync, to be woken. 32 words: 1,024 clients. */
export const ASYNC_MASK: number = STATS + STATS_COUNT * 2
export const ASYNC_MASK_WORDS = 32
/** Rows of three wide words: first failed LSN, last indeterminate LSN, last failed LSN. */
export const FAILED_RANGES: number = ASYNC_MASK + ASYNC_MASK_WORDS
export const FAILED_RANGES_LIMIT = 64
/**
 * Wake words, one line each: the followers of frame n, and those who expect to be in it, wait on number n mod WAKES.
 * A counter; changed by completers. More words than frames in flight and in preparation, so that no two share one.
 */
export const WAKES: number = FAILED_RANGES + FAILED_RANGES_LIMIT * 6
export const WAKES_COUNT = 16
/** Staging-slot lines, see slots.ts. */
export const SLOTS: number = WAKES + WAKES_COUNT * LINE_WORDS
export const SLOT_WORDS: number = 2 * LINE_WORDS
export const SLOTS_LIMIT = 8
/** Client lines, see clients.ts. Client numbers begin with 1. */
export const CLIENTS: number = SLOTS + SLOTS_LIMIT * SLOT_WORDS
export const CLIENT_WORDS: number = 2 * LINE_WORDS
export const MAX_CLIENTS_LIMIT: number = ASYNC_MASK_WORDS * 32 - 1

export const LAYOUT_MAGIC = 0x47574c31
export const LAYOUT_VERSION = 3
export const PAGE_BYTES = 65536
/** log2 of the bytes per ring granule; the same granule as in a frame body (docs/format.md). */
export const GRANULE_SHIFT = 5

/** What the opener decides, before the memory exists. */
export interface LayoutOptions {
  ringBytes: number
  maxBatchBytes: number
  slotCount: number
  committerRecords: number
  maxClients: number
  blockBytes: number
  segmentBytes: number
  frameHeaderBytes: number
}

/** Where things stand, in bytes from the start of the shared memory. */
export interface Layout {
  ringGranules: number
  maxReservationGranules: number
  slotCount: number
  slotBytes: number
  committerRecords: number
  maxClients: number
  blockBytes: number
  segmentBytes: number
  codesAt: number
  ringAt: number
  slotBuffersAt: number
  totalBytes: number
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple
}

/**
 * Places the regions. Behind the ring stands an overhang as long as the longest reservation: a record whose place
 * begins near the end of the ring runs on into it, so that every record is contiguous and no place is skipped.
 */
export function planLayout(options: LayoutOptions): Layout {
  const ringGranules = options.ringBytes >>> GRANULE_SHIFT
  const granuleBytes = 1 << GRANULE_SHIFT
  const maxReservationGranules = Math.min(
    ringGranules / 2,
    Math.floor(options.maxBatchBytes / granuleBytes),
    Math.floor((options.segmentBytes - options.blockBytes - options.frameHeaderBytes) / granuleBytes),
  )
  return place(
    ringGranules,
    maxReservationGranules,
    options.slotCount,
    roundUp(options.frameHeaderBytes + maxReservationGranules * granuleBytes, options.blockBytes),
    options,
  )
}

function place(
  ringGranules: number,
  maxReservationGranules: number,
  slotCount: number,
  slotBytes: number,
  rest: { committerRecords: number; maxClients: number; blockBytes: number; segmentBytes: number },
): Layout {
  const codesAt = roundUp((CLIENTS + (rest.maxClients + 2) * CLIENT_WORDS) * 4, 64)
  const ringAt = roundUp(codesAt + ringGranules * 4, 4096)
  const ringEnd = ringAt + ((ringGranules + maxReservationGranules) << GRANULE_SHIFT)
  const slotBuffersAt = roundUp(ringEnd, Math.max(4096, rest.blockBytes))
  return {
    ringGranules,
    maxReservationGranules,
    slotCount,
    slotBytes,
    committerRecords: rest.committerRecords,
    maxClients: rest.maxClients,
    blockBytes: rest.blockBytes,
    segmentBytes: rest.segmentBytes,
    codesAt,
    ringAt,
    slotBuffersAt,
    totalBytes: roundUp(slotBuffersAt + slotCount * slotBytes, PAGE_BYTES),
  }
}

/** Writes the configuration words. */
export function writeLayout(words: Int32Array, layout: Layout): void {
  words[MAGIC] = LAYOUT_MAGIC
  words[LAYOUT_VERSION_WORD] = LAYOUT_VERSION
  words[RING_GRANULES] = layout.ringGranules
  words[MAX_RESERVATION_GRANULES] = layout.maxReservationGranules
  words[SLOT_COUNT] = layout.slotCount
  words[SLOT_BYTES] = layout.slotBytes
  words[MAX_CLIENTS] = layout.maxClients
  words[BLOCK_BYTES] = layout.blockBytes
  words[SEGMENT_BYTES] = layout.segmentBytes
  words[COMMITTER_RECORDS] = layout.committerRecords
}

/** The same layout as another thread wrote it. */
export function readLayout(words: Int32Array): Layout {
  return place(words[RING_GRANULES], words[MAX_RESERVATION_GRANULES], words[SLOT_COUNT], words[SLOT_BYTES], {
    committerRecords: words[COMMITTER_RECORDS],
    maxClients: words[MAX_CLIENTS],
    blockBytes: words[BLOCK_BYTES],
    segmentBytes: words[SEGMENT_BYTES],
  })
}
