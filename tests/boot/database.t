#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Duty: PostgreSQL under load, its files on one disk and its log on another: what
# snapshots of both froze, with a checkpoint before and as a crash, starts, recovers,
# and is consistent.
. "${0%/*}/lib.sh"
ours_only
need uml_mconsole mkfs.ext4 e2fsck setpriv
need_moo
for postgres in /usr/lib/postgresql/*/bin; do
	:
done
[ -x "$postgres/pgbench" ] || skip_all "PostgreSQL is not installed"
id postgres >/dev/null 2>&1 || skip_all "there is no user postgres"
BOOT_MEM=512M

truncate -s 512M data.img
truncate -s 256M log.img
mkfs.ext4 -q -F data.img
mkfs.ext4 -q -F log.img

# What both guests begin with: as the database's user; start and stop
cat >share/database.sh <<EOF
PATH=$postgres:\$PATH
as_user()
{
	setpriv --reuid=$(id -u postgres) --regid=$(id -g postgres) \\
		--clear-groups "\$@"
}
start_database()
{
	as_user pg_ctl -D /mnt/a/pg -w -l /tmp/log -o "-k /tmp \\
		-c listen_addresses= -c dynamic_shared_memory_type=mmap" \\
		start >/dev/null
}
stop_database()
{
	as_user pg_ctl -D /mnt/a/pg -m fast stop >/dev/null
}
ask()
{
	as_user psql -h /tmp -d postgres -Atqc "\$1"
}
EOF
cat >share/bin/hook <<'EOF'
#!/bin/sh
. /mnt/share/database.sh
echo "$1" >>/mnt/share/told
case $1 in
freeze) ask CHECKPOINT ;;
esac
EOF
chmod +x share/bin/hook

start guest ubd0=data.img ubd1=log.img ubd=hook=/mnt/share/bin/hook <<'EOF'
. "$S/database.sh"
cd /tmp
mount /dev/ubda /mnt/a
mount /dev/ubdb /mnt/b
mkdir /mnt/a/pg /mnt/b/log
chown "$(id -u postgres):$(id -g postgres)" /mnt/a/pg /mnt/b/log
as_user initdb -D /mnt/a/pg -X /mnt/b/log -A trust >/dev/null
start_database
as_user pgbench -h /tmp -i -q postgres >/dev/null 2>&1
while [ ! -e "$S/go.load" ]; do
	as_user pgbench -n -h /tmp -T 2 -c 4 postgres >>bench 2>&1 || echo failed
done &
point load
wait
stop_database
sync
EOF
await guest load 120
sleep 1
status=0
text=$(mconsole guest snapshot "ubda=data1.cow ubdb=log1.cow" | tr '\n' '/') ||
	status=$?
like "$text" "^OK ubda: .*, writes held .*/ubdb: .*, writes held " \
	"a snapshot of both disks"
is "$(tr '\n' ' ' <share/told)" "freeze thaw " "the database was told"
sleep 1
like "$(mconsole guest snapshot "ubda=data2.cow ubdb=log2.cow crash")" \
	"^OK ubda: .*paused" "and one without a freeze"
go load
ended_well guest "the guest ended well"
is "$(out guest)" "" "no transaction failed"

# starts DATA LOG WHAT: from copies of what was frozen
starts()
{
	rm -f a.img b.img
	moo merge "$1" a.img >/dev/null
	moo merge "$2" b.img >/dev/null
	boot "${3%% *}" ubd0=a.img ubd1=b.img <<'EOF'
. "$S/database.sh"
cd /tmp
mount /dev/ubda /mnt/a
mount /dev/ubdb /mnt/b
start_database
ask "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = sum(delta) AND
	(SELECT sum(bbalance) FROM pgbench_branches) = sum(delta) AND
	(SELECT sum(tbalance) FROM pgbench_tellers) = sum(delta) AND
	count(*) > 0 FROM pgbench_history"
stop_database
sync
EOF
	survived "${3%% *}" "$3: it starts"
	is "$(out "${3%% *}")" t "$3: all balances are the sums of what was booked"
}
e2fsck_quietly()
{
	e2fsck -fn a.img >fsck.log 2>&1
}

moo merge data.img a.img >/dev/null
holds "its files need no recovery of their file system" e2fsck_quietly
starts data.img log.img "frozen"
starts data1.cow log1.cow "crash"
finish
