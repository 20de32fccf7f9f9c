/* test_queue.c - tests of the queue: the order in which jobs of one host may start */
#include "broker/queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { MANY = 200 };

static void put(struct queue *queue, struct queue_item *item, uint32_t priority, uint64_t id)
{
    queue_item_init(item, NULL, priority, id);
    queue_insert(queue, item);
}

static void assert_in_order(const struct queue *queue, unsigned n)
{
    unsigned found = 0;
    for (const struct queue_item *item = queue->first; item; item = item->next) {
        const struct queue_item *next = item->next;
        found++;
        if (next)
            assert_true(item->priority < next->priority ||
                        (item->priority == next->priority && item->id < next->id));
    }
    assert_int_equal(found, n);
    assert_int_equal(queue->n, n);
    for (const struct queue_item *item = queue->oldest; item; item = item->a_next) {
        found--;
        if (item->a_next)
            assert_true(item->id < item->a_next->id);
    }
    assert_int_equal(found, 0);
}

static void a_new_queue_is_empty(void **state)
{
    (void)state;
    struct queue queue = {0};
    assert_in_order(&queue, 0);
    assert_null(queue.first);
    assert_null(queue.oldest);
}

static void the_lower_priority_comes_first_then_the_older_job(void **state)
{
    (void)state;
    struct queue queue = {0};
    struct queue_item a, b, c, d;
    put(&queue, &a, 100, 5);
    put(&queue, &b, 100, 3);
    put(&queue, &c, 10, 9);
    put(&queue, &d, 200, 1);
    assert_in_order(&queue, 4);
    assert_ptr_equal(queue.first, &c);
    assert_ptr_equal(queue.first->next, &b);
    assert_ptr_equal(queue.first->next->next, &a);
}

static void any_order_of_coming_gives_the_same_queue(void **state)
{
    (void)state;
    static struct queue_item items[MANY];
    struct queue queue = {0};
    for (unsigned i = 0; i < MANY; i++) {
        unsigned k = i * 73 % MANY; /* each once */
        put(&queue, &items[k], k % 3, k);
        assert_in_order(&queue, i + 1);
    }
    uint64_t wanted = 0;
    for (const struct queue_item *item = queue.first; item && item->priority == 0;
         item = item->next, wanted += 3)
        assert_int_equal(item->id, wanted);
}

static void the_first_the_last_and_one_between_can_leave_and_come_back(void **state)
{
    (void)state;
    struct queue queue = {0};
    struct queue_item items[5];
    for (unsigned i = 0; i < 5; i++)
        put(&queue, &items[i], 1, i);
    queue_remove(&queue, &items[0]);
    queue_remove(&queue, &items[4]);
    queue_remove(&queue, &items[2]);
    assert_in_order(&queue, 2);
    assert_ptr_equal(queue.first, &items[1]);
    queue_insert(&queue, &items[2]);
    queue_insert(&queue, &items[4]);
    queue_insert(&queue, &items[0]);
    assert_in_order(&queue, 5);
    assert_ptr_equal(queue.first, &items[0]);
}

static void the_last_that_leaves_empties_it(void **state)
{
    (void)state;
    struct queue queue = {0};
    struct queue_item item;
    put(&queue, &item, 1, 1);
    queue_remove(&queue, &item);
    assert_in_order(&queue, 0);
    assert_null(queue.first);
    assert_null(queue.oldest);
}

static void the_oldest_is_known_whatever_its_priority(void **state)
{
    (void)state;
    struct queue queue = {0};
    struct queue_item a, b, c, d;
    put(&queue, &b, 200, 3);
    put(&queue, &c, 10, 9);
    put(&queue, &d, 100, 12);
    assert_ptr_equal(queue.oldest, &b);
    put(&queue, &a, 300, 1); /* a job that comes back */
    assert_ptr_equal(queue.oldest, &a);
    queue_remove(&queue, &a);
    queue_remove(&queue, &b);
    assert_ptr_equal(queue.oldest, &c);
    put(&queue, &b, 200, 10); /* between the two */
    assert_in_order(&queue, 3);
    queue_remove(&queue, &c);
    assert_ptr_equal(queue.oldest, &b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_queue_is_empty),
        cmocka_unit_test(the_lower_priority_comes_first_then_the_older_job),
        cmocka_unit_test(any_order_of_coming_gives_the_same_queue),
        cmocka_unit_test(the_first_the_last_and_one_between_can_leave_and_come_back),
        cmocka_unit_test(the_last_that_leaves_empties_it),
        cmocka_unit_test(the_oldest_is_known_whatever_its_priority),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
