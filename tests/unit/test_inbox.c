/* test_inbox.c - tests of the inbox: each peer in its turn, and no more of it than its share */
#include "wire/inbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static bool put_of(struct inbox *inbox, uint64_t owner, uint64_t peer, size_t length)
{
    struct inbox_item *item = calloc(1, sizeof(*item));
    assert_non_null(item);
    item->peer = peer;
    item->owner = owner;
    item->length = length;
    if (inbox_put(inbox, item))
        return true;
    free(item);
    return false;
}

/* Of a peer that is alone. */
static bool put(struct inbox *inbox, uint64_t peer, size_t length)
{
    return put_of(inbox, 100 + peer, peer, length);
}

/* Whose it was; 0: nothing waits. */
static uint64_t take(struct inbox *inbox, size_t *ret_length)
{
    struct inbox_item *item = inbox_take(inbox);
    uint64_t peer = item ? item->peer : 0;
    if (item && ret_length)
        *ret_length = item->length;
    free(item);
    return peer;
}

static void empty(struct inbox *inbox)
{
    while (take(inbox, NULL) != 0)
        ;
    inbox_free(inbox);
}

static void each_peer_has_its_turn_and_frames_keep_their_order(void **state)
{
    struct inbox *inbox = inbox_new();
    size_t length, last = 0;
    (void)state;
    assert_int_equal(take(inbox, NULL), 0);
    for (size_t i = 1; i <= 3; i++)
        assert_true(put(inbox, 1, i));
    assert_true(put(inbox, 2, 1));
    assert_true(put(inbox, 3, 1));
    static const uint64_t order[] = {1, 2, 3, 1, 1, 0};
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        assert_int_equal(take(inbox, &length), order[i]);
        if (order[i] == 1)
            assert_int_equal(length, ++last);
    }
    empty(inbox);
}

static void many_peers_of_one_owner_have_one_turn(void **state)
{
    struct inbox *inbox = inbox_new();
    (void)state;
    for (uint64_t peer = 1; peer <= 1000; peer++)
        assert_true(put_of(inbox, 7, peer, 1) && put_of(inbox, 7, peer, 1));
    for (int i = 0; i < 3; i++)
        assert_true(put_of(inbox, 8, 2001, 1));
    static const uint64_t order[] = {1, 2001, 2, 2001, 3, 2001, 4, 5};
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
        assert_int_equal(take(inbox, NULL), order[i]);
    empty(inbox);
}

static void an_owner_has_a_share_whatever_its_peers_have(void **state)
{
    enum { BIG = 3 * 1024 * 1024 };
    struct inbox *inbox = inbox_new();
    uint64_t peer = 1;
    (void)state;
    while (put_of(inbox, 7, peer, BIG)) /* until all of it is full */
        peer++;
    assert_true(peer >= INBOX_BYTES / (BIG + INBOX_FRAME_BYTES));
    while (put_of(inbox, 7, peer, 0))
        peer++;
    assert_false(put_of(inbox, 7, 1 + peer, 0)); /* it has more than a share of its own */
    assert_true(put_of(inbox, 8, 1000000, BIG)); /* others have theirs */
    assert_true(put_of(inbox, 8, 1000001, BIG));
    empty(inbox);
}

static void a_peer_has_so_many_frames_waiting_and_no_more(void **state)
{
    struct inbox *inbox = inbox_new();
    (void)state;
    for (unsigned i = 0; i < INBOX_PEER_FRAMES; i++)
        assert_true(put(inbox, 1, 0));
    assert_false(put(inbox, 1, 0));
    assert_true(put(inbox, 2, 0)); /* others may */
    assert_int_equal(take(inbox, NULL), 1);
    assert_true(put(inbox, 1, 0));
    assert_false(put(inbox, 1, 0));
    empty(inbox);
}

static void all_together_have_a_bound_but_each_its_share(void **state)
{
    enum { BIG = 32 * 1024 * 1024 };
    struct inbox *inbox = inbox_new();
    unsigned n = 0;
    (void)state;
    while (put(inbox, 1, BIG))
        n++;
    assert_true(n >= 6 && n <= INBOX_BYTES / BIG);
    assert_false(put(inbox, 2, BIG)); /* nobody has room for as much now */
    for (unsigned i = 0; i < 3; i++)
        assert_true(put(inbox, 2, 1024 * 1024));
    /* what was refused left nothing behind */
    while (take(inbox, NULL) != 0)
        ;
    unsigned again = 0;
    while (put(inbox, 1, BIG))
        again++;
    assert_int_equal(again, n);
    empty(inbox);
}

static void what_waits_of_one_peer_can_be_dropped(void **state)
{
    struct inbox *inbox = inbox_new();
    struct inbox_item *item;
    unsigned n = 0;
    (void)state;
    for (unsigned i = 0; i < 5; i++)
        assert_true(put(inbox, 1, 1) && put(inbox, 2, 1));
    for (; (item = inbox_take_of(inbox, 1)); n++)
        free(item);
    assert_int_equal(n, 5);
    assert_null(inbox_take_of(inbox, 1));
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(take(inbox, NULL), 2);
    assert_int_equal(take(inbox, NULL), 0);
    empty(inbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_peer_has_its_turn_and_frames_keep_their_order),
        cmocka_unit_test(many_peers_of_one_owner_have_one_turn),
        cmocka_unit_test(an_owner_has_a_share_whatever_its_peers_have),
        cmocka_unit_test(a_peer_has_so_many_frames_waiting_and_no_more),
        cmocka_unit_test(all_together_have_a_bound_but_each_its_share),
        cmocka_unit_test(what_waits_of_one_peer_can_be_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
