-- What was cut from mail and chats is other people's words, signatures and boilerplate: of these only what kind
-- it was, where it stood and how long it was is kept from now on. Runs on every older snapshot too.
UPDATE samples
SET prompt = NULL,
    removed = (SELECT json_group_array(json_set(e.value, '$.text', '')) FROM json_each(samples.removed) e)
WHERE kind IN ('email', 'chat') AND (removed <> '[]' OR prompt IS NOT NULL);
