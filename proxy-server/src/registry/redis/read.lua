-- Reads all records at one moment.
--
-- KEYS: meta, changes, marks, leases, locks, tokens. ARGV: prefix of the keys of definitions, a version, then names of definitions that
-- may have no marks. Returns the five hashes, the changes since that version, and the names of definitions with their texts.
local meta = redis.call('HGETALL', KEYS[1])
local version = tonumber(redis.call('HGET', KEYS[1], 'version') or '0')
local newer = math.min(math.max(version - tonumber(ARGV[2]), 0) + 1, 1000)
local seen, names, texts = {}, {}, {}
local function add(name)
    if seen[name] then return end
    seen[name] = true
    -- Another type of value is not a definition.
    local text = redis.pcall('GET', ARGV[1] .. name)
    names[#names + 1] = name
    texts[#texts + 1] = type(text) == 'string' and text or false
end
for _, name in ipairs(redis.call('HKEYS', KEYS[3])) do add(name) end
for at = 3, #ARGV do add(ARGV[at]) end
return {
    meta, redis.call('HGETALL', KEYS[3]), redis.call('HGETALL', KEYS[4]), redis.call('HGETALL', KEYS[5]),
    redis.call('HGETALL', KEYS[6]),
    redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', newer), names, texts
}
