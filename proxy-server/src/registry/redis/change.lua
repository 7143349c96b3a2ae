-- Applies a change to the records, unless another one came first.
--
-- KEYS: meta, changes, marks, leases, locks, tokens, then one per operation on a key of its own.
-- ARGV: expected version, id of the change, revision after it, format, then the operations, each with its operands:
--   SET key text | DEL key | HSET key field text | HDEL key field
-- where key is an index into KEYS. Returns {1, version} if the change is applied, and {0, version} if it is not.
local version = redis.call('HGET', KEYS[1], 'version') or '0'
if version ~= ARGV[1] then
    -- Sent again because the response was lost: applied already, perhaps before changes of others.
    for _, entry in ipairs(redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1000)) do
        if entry[2][4] == ARGV[2] then return {1, tonumber(entry[2][2])} end
    end
    return {0, tonumber(version)}
end
local at = 5
while ARGV[at] do
    local operation, key = ARGV[at], KEYS[tonumber(ARGV[at + 1])]
    if operation == 'SET' then
        redis.call('SET', key, ARGV[at + 2])
        at = at + 3
    elseif operation == 'DEL' then
        redis.call('DEL', key)
        at = at + 2
    elseif operation == 'HSET' then
        redis.call('HSET', key, ARGV[at + 2], ARGV[at + 3])
        at = at + 4
    else
        redis.call('HDEL', key, ARGV[at + 2])
        at = at + 3
    end
end
local new = redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('HSET', KEYS[1], 'last', ARGV[2], 'revision', ARGV[3], 'format', ARGV[4])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', 1000, '*', 'version', new, 'change', ARGV[2])
return {1, new}
