-- SPDX-License-Identifier: GPL-2.0-only
--
-- Every transaction adds one row to "entry", with a running number, and raises
-- the version of one row of "stock". A row's data follows from its number and
-- its version, so that check.sql can tell right from wrong.
PRAGMA journal_mode = WAL;
BEGIN;
CREATE TABLE entry (n INTEGER PRIMARY KEY, data TEXT);
CREATE TABLE stock (n INTEGER PRIMARY KEY, version INTEGER, data TEXT);
INSERT INTO stock
	SELECT value, 0, replace(hex(zeroblob(10)), '00',
				 hex(sha3(value || '/0', 512)))
	FROM generate_series(1, 4000);
COMMIT;
