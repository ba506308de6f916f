// SPDX-License-Identifier: Apache-2.0
/**
 * The lease operations as Lua; each is atomic. protocol/lease/messages.ts says what they mean.
 *
 * KEYS[1] is the record, a hash: store, epoch, primary, backup, winner, run (the server's life at arm: its run_id and
 * replication id), durable ('1' or '0', at arm). ARGV[1] is the life for which the caller saw `appendfsync always` (or ''): CONFIG cannot be
 * called from a script, so the setting is asked beside it on the same connection and pinned to the server's life.
 * ARGV[2] is the operation, its own arguments follow.
 *
 * Every operation answers with a flat array: result, reason, run now, then the seven fields ('' where absent) and
 * claimable ('1' or '0'); only the first three when there is no record. A replica answers none: it is an error there.
 */

const PRELUDE = `
local key = KEYS[1]
local FIELDS = {'store', 'epoch', 'primary', 'backup', 'winner', 'run', 'durable'}

local function info(section, field)
  return string.match(redis.call('INFO', section), field .. ':([^\\r\\n]*)') or ''
end

-- A copy is not the lease: what a replica holds may be old, and it can carry out nothing. The word is Redis' own.
if info('replication', 'role') ~= 'master' then
  return redis.error_reply('READONLY a replica is not asked for the lease')
end

local process_now = info('server', 'run_id')
-- The replication id changes when a server takes over another's data without a restart.
local run_now = process_now .. ':' .. info('replication', 'master_replid')

-- Durable: no answered write is lost, by restart (append-only, synced always) or by failover (no replica). A replica
-- that is only away counts: while the backlog lives it may come back at any moment, without that the replication id
-- changes, and take this promise with it to where it holds no more. The first replica after that changes the id.
local function durable_now()
  return ARGV[1] == run_now
    and info('persistence', 'aof_enabled') == '1'
    and info('replication', 'connected_slaves') == '0'
    and info('replication', 'repl_backlog_active') == '0'
end

local function load()
  if redis.call('EXISTS', key) == 0 then return nil end
  local values = redis.call('HMGET', key, unpack(FIELDS))
  local record = {}
  for i, name in ipairs(FIELDS) do record[name] = values[i] or '' end
  return record
end

local function damaged(record)
  local epoch = tonumber(record.epoch)
  return record.store == '' or not epoch or (record.primary == '') ~= (epoch == 0)
end

-- Why an absent winner cannot be believed; '' when it can. A record armed under a promise is bound to that promise.
local function trouble(record)
  local same_life = record.run == run_now
  local other_data = not same_life and string.find(record.run, process_now .. ':', 1, true) == 1
  if other_data or (not same_life and record.durable ~= '1') then return 'run' end
  if record.durable == '1' and not durable_now() then return 'notDurable' end
  return ''
end

local function answer(result, reason)
  local reply = {result, reason, run_now}
  local record = load()
  if record then
    for _, name in ipairs(FIELDS) do reply[#reply + 1] = record[name] end
    reply[#reply + 1] = trouble(record) == '' and '1' or '0'
  end
  return reply
end

-- One command, all fields: several would go into the append-only file as a transaction, which Redis 7.0 refuses to
-- read back when its default user may not run them, telling nobody but its log. The record would be gone by a restart.
local function write(store, epoch, primary, backup, winner)
  redis.call('HSET', key, 'store', store, 'epoch', epoch, 'primary', primary, 'backup', backup,
    'winner', winner, 'run', run_now, 'durable', durable_now() and '1' or '0')
end

local record = load()
`;

/** ARGV: from 3: new store id, nonce. */
const FOUND = `
local store, nonce = ARGV[3], ARGV[4]
if not record then
  write(store, '1', nonce, '', nonce)
  return answer('ok', '')
end
if damaged(record) then return answer('unknown', 'damaged') end
if record.winner == nonce and record.epoch == '1' then return answer('ok', '') end
return answer('refused', 'exists')
`;

/** ARGV: from 3: expected epoch, nonce. */
const REFOUND = `
local expect, nonce = tonumber(ARGV[3]), ARGV[4]
if not record then return answer('refused', 'missing') end
if damaged(record) then return answer('unknown', 'damaged') end
local epoch = tonumber(record.epoch)
if epoch == expect then
  write(record.store, string.format('%d', expect + 1), nonce, '', nonce)
  return answer('ok', '')
end
if epoch == expect + 1 and record.primary == nonce and record.winner == nonce then return answer('ok', '') end
return answer('refused', 'otherEpoch')
`;

/** ARGV: from 3: new store id. */
const REOPEN = `
if not record then
  write(ARGV[3], '0', '', '', '')
  return answer('ok', '')
end
return answer('refused', 'exists')
`;

/**
 * ARGV: from 3: store id, the server's life that the sender saw, epoch, primary, backup.
 *
 * The owner check looks only at the epoch just before: a record further behind was rolled back, which the owner's own
 * epoch proves, and says nothing about who owns.
 *
 * The same arm again never refreshes `run`: a winner may have been lost with the server's last life. It only takes
 * back a promise of durability that the server, in the same life, has ceased to keep.
 */
const ARM = `
local store, run_seen, epoch, primary, backup = ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6], ARGV[7]
if not record then return answer('refused', 'missing') end
if damaged(record) then return answer('unknown', 'damaged') end
if record.store ~= store then return answer('refused', 'foreignStore') end
local stored = tonumber(record.epoch)
if stored == epoch and record.primary == primary and record.backup == backup then
  if record.durable == '1' and record.run == run_now and not durable_now() then
    redis.call('HSET', key, 'durable', '0')
  end
  return answer('ok', '')
end
if run_seen ~= run_now and (trouble(record) ~= '' or record.durable ~= '1') then return answer('refused', 'run') end
if stored >= epoch then return answer('refused', 'epochHigher') end
if stored == epoch - 1 and record.primary ~= '' then
  local owner = record.winner
  if owner ~= '' and owner ~= primary then return answer('refused', 'notOwner') end
  if owner == '' and record.primary ~= primary and record.backup ~= primary then
    return answer('refused', 'notOwner')
  end
end
write(store, ARGV[5], primary, backup, '')
return answer('ok', '')
`;

/**
 * ARGV: from 3: store id, epoch, nonce.
 * Lost for a later epoch that does not name the claimant: only an owner arms, so somebody else has won since.
 */
const CLAIM = `
local store, epoch, nonce = ARGV[3], tonumber(ARGV[4]), ARGV[5]
if not record then return answer('unknown', 'missing') end
if damaged(record) then return answer('unknown', 'damaged') end
if record.store ~= store then return answer('unknown', 'foreignStore') end
local named = nonce ~= '' and (record.primary == nonce or record.backup == nonce)
local stored = tonumber(record.epoch)
if stored > epoch and not named then return answer('lost', '') end
if stored > epoch then return answer('unknown', 'epochHigher') end
if stored < epoch then return answer('unknown', 'epochLower') end
if not named then return answer('unknown', 'notNamed') end
local doubt = trouble(record)
if doubt ~= '' then return answer('unknown', doubt) end
if record.winner == '' then
  redis.call('HSET', key, 'winner', nonce)
  return answer('won', '')
end
return answer(record.winner == nonce and 'won' or 'lost', '')
`;

/**
 * Proves what a claim needs, by doing what a claim does: the winner is written, as it is. A store that may not write (its
 * disk, its rights) must be found out while the pair stands, not when one side is gone.
 */
const PEEK = `
if not record then return answer('missing', '') end
if damaged(record) then return answer('unknown', 'damaged') end
redis.call('HSET', key, 'winner', record.winner)
return answer('present', '')
`;

/** ARGV: from 3: store id or ''. */
const REMOVE = `
if not record then return answer('ok', '') end
if ARGV[3] ~= '' and record.store ~= ARGV[3] then return answer('refused', 'foreignStore') end
redis.call('DEL', key)
return answer('ok', '')
`;

const BODIES = {
  found: FOUND,
  refound: REFOUND,
  reopen: REOPEN,
  arm: ARM,
  claim: CLAIM,
  peek: PEEK,
  remove: REMOVE,
} as const;

export type LeaseOp = keyof typeof BODIES;

function asLuaFunction([name, body]: [string, string]): string {
  return `${name} = function()${body}end`;
}

/**
 * All operations in one script, chosen by ARGV[2], so that any call (the first `peek` of a connection) makes the
 * server keep it, and a claim is always one round trip.
 *
 * `allow-oom`: a record has a fixed size, and a claim at `maxmemory` must not be refused for the few bytes of a name. With
 * the first line a server that takes no writes (a replica, one whose disk is full) refuses a look as it would a claim.
 */
export const LEASE_SCRIPT = `#!lua flags=allow-oom
${PRELUDE}
local OPS = {
${Object.entries(BODIES).map(asLuaFunction).join(',\n')}
}
return OPS[ARGV[2]]()
`;
