-- An action for HAProxy that asks callgate whether a request may go on: `http-request lua.callgate`.
--
-- It needs `option http-buffer-request`, and reads two variables of the environment when HAProxy starts: CALLGATE_URL, such
-- as http://127.0.0.1:9191, and CALLGATE_PEP_TOKEN, from `callgate peps create`, where PEPs are configured.
--
-- The request is sent as it is behind the prefix /v1/ext-authz. Status 200 lets it go on: the variable txn.callgate_allows is
-- set, without which the configuration must deny, and headers are set and taken away as callgate says. Every other status goes
-- to the client, with the body; where callgate says that the client is to see another one (a tool's result has 200), the client
-- sees that.

local url = os.getenv("CALLGATE_URL")
local token = os.getenv("CALLGATE_PEP_TOKEN")
-- At least `approvals.deadline` and 200 ms: a call that needs an approval waits that long for the store.
local TIMEOUT_MS = 1000

-- Of the connection, or written anew by whoever sends the question.
local NOT_ASKED = {
    ["connection"] = true, ["content-length"] = true, ["expect"] = true, ["keep-alive"] = true,
    ["proxy-connection"] = true, ["te"] = true, ["trailer"] = true, ["transfer-encoding"] = true, ["upgrade"] = true,
}

local METHODS = {GET = "get", POST = "post", DELETE = "delete"}

local TO_CLIENT = {"content-type", "cache-control", "retry-after", "ratelimit", "ratelimit-policy"}

local function refuse(txn, status, message)
    local reply = txn:reply()
    reply:set_status(status)
    reply:add_header("content-type", "application/json")
    reply:set_body('{"error":"' .. message .. '"}')
    txn:done(reply)
end

-- All values of a header as a list; HAProxy counts from 0.
local function values(field)
    local list = {}
    for index = 0, #field do
        list[#list + 1] = field[index]
    end
    return list
end

local function begins(text, prefix)
    return text:sub(1, #prefix) == prefix
end

-- Whether every server reads the target's path as HAProxy does, for which it begins at the first slash: of
-- `http://host?/mcp/aws` the path is empty.
local function is_plain(target, path)
    if begins(target, "/") then
        return target == path
    end
    return target:match("^%a[%w+.-]*://[%w._:%[%]-]+(/.*)$") == path
end

core.register_action("callgate", {"http-req"}, function(txn)
    local body = txn.sf:req_body()
    local length = txn.f:req_hdr("content-length")
    -- Without its length nobody here can tell whether all of a body has come.
    if txn.f:req_hdr("transfer-encoding") or (length == nil and #body > 0) then
        return refuse(txn, 411, "expected a body with a content-length")
    end
    if length ~= nil and tonumber(length) ~= #body then
        return refuse(txn, 413, "the body is longer than what the proxy reads; send less")
    end

    if txn.f:req_hdr("upgrade") then
        return refuse(txn, 400, "expected a request without upgrade: what follows one is judged by nobody")
    end

    local headers = {}
    for name, field in pairs(txn.http:req_get_headers()) do
        if not NOT_ASKED[name] then
            headers[name] = values(field)
        end
    end
    if token then
        headers["x-callgate-pep"] = {"Bearer " .. token}
    end
    local method = METHODS[txn.f:method()]
    if not method then
        return refuse(txn, 405, "expected GET, POST or DELETE")
    end
    local path = txn.f:pathq()
    if not is_plain(txn.f:url(), path) then
        return refuse(txn, 400, "expected a path as the target, or an address with one")
    end
    local client = core.httpclient()
    local question = {url = url .. "/v1/ext-authz" .. path, headers = headers, timeout = TIMEOUT_MS}
    if #body > 0 then
        question.body = body
    end
    local answer = client[method](client, question)

    if not answer or not answer.status or answer.status == 0 then
        return refuse(txn, 503, "callgate does not answer; try again later")
    end
    local said = answer.headers or {}
    local function first(name)
        return said[name] and said[name][0]
    end
    if answer.status == 200 then
        for name in (first("x-envoy-auth-headers-to-remove") or ""):gmatch("[^,]+") do
            txn.http:req_del_header(name)
        end
        for name, _ in pairs(said) do
            if begins(name, "x-callgate-") then
                txn.http:req_set_header(name, first(name))
            end
        end
        txn:set_var("txn.callgate_allows", true)
        return
    end

    local reply = txn:reply()
    reply:set_status(tonumber(first("x-callgate-client-status")) or answer.status)
    for _, name in ipairs(TO_CLIENT) do
        if first(name) then
            reply:add_header(name, first(name))
        end
    end
    for name, _ in pairs(said) do
        if begins(name, "x-callgate-") then
            reply:add_header(name, first(name))
        end
    end
    reply:set_body(answer.body or "")
    txn:done(reply)
end)
