/* guest.c - a guest without an operating system, made to be migrated and to notice what that does
 *
 * A multiboot ELF (`qemu -kernel`), 32 bits, flat, no paging.  It fills memory with a pattern that
 * it can compute again, writes a part of it over and over, and keeps comparing all of it.  Words on
 * its command line:
 *
 *   fill=MiB   memory filled with data that does not compress: what a first pass has to send
 *   ws=MiB     the working set: the first part of that memory, written page by page in a circle
 *   rate=KiB   how much of the working set is dirtied in a second; 0 = none
 *   disk=N     each second its number is written into the next of N sectors of the first IDE disk
 *   off=S      powers itself off after S seconds
 *   crash=S    triple fault after S seconds (the machine reboots)
 *   rot=S      spoils one word of its own memory after S seconds, to show that this is noticed
 *   noacpi=1   takes no notice of the power button
 *
 * Lines on its serial port:
 *
 *   boot WORDS     once
 *   ready          memory is filled, the clock runs
 *   t N            each second of its own time; N grows by one
 *   pass N         the whole of the filled memory has been compared for the Nth time
 *   CORRUPT at ADDRESS: FOUND, not WANTED
 *   DISK at SECTOR: FOUND, not WANTED
 *   poweroff       the last line of a guest that ended in an orderly way
 */
#include "port.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    HZ = 50,               /* ticks in a second */
    FILL_AT = 4 << 20,     /* where the filled memory starts; below: BIOS, code, stack */
    PAGE = 4096,           /* what a migration sends as a whole */
    PAGE_WORDS = PAGE / 4, /* words in it */
    PASS_SECONDS = 2,      /* how long one comparison of all the memory takes */
    PASS_STRIDE = 8,       /* a pass looks at every 8th word of a page, the next one at the next */
    MAX_COMPLAINTS = 20,   /* a spoiled memory must not flood the log */
    MAX_WORDS = 512,       /* length of the command line */
};

struct multiboot {        /* what the loader hands over */
    uint32_t flags;       /* bit 2: words is valid */
    uint32_t mem_lower;   /* KiB below 1 MiB */
    uint32_t mem_upper;   /* KiB above 1 MiB */
    uint32_t boot_device; /* not used */
    uint32_t words;       /* address of the command line */
};

struct memory {
    uint32_t *word;      /* the filled memory */
    uint32_t pages;      /* its size */
    uint32_t ws_pages;   /* the first so many are the working set */
    uint32_t rate;       /* KiB to dirty in a second */
    uint32_t credit;     /* dirtying owed, in KiB / HZ */
    uint32_t next_dirty; /* page of the working set that is written next */
    uint32_t rounds;     /* how often the whole working set has been written */
    uint32_t next_check; /* page that is compared next */
    uint32_t passes;     /* how often the whole memory has been compared */
    uint32_t complaints; /* lines written about spoiled memory */
};

volatile uint32_t ticks; /* counted by the timer interrupt (start.S) */

/* --- serial port --- */

static void serial_init(void)
{
    out8(0x3f9, 0);    /* no interrupts */
    out8(0x3fb, 0x80); /* divisor 1: 115200 */
    out8(0x3f8, 1);
    out8(0x3f9, 0);
    out8(0x3fb, 3); /* 8 bits, no parity */
    out8(0x3fa, 7); /* FIFO on */
}

static void put_char(char c)
{
    for (int i = 0; i < 10000 && !(in8(0x3fd) & 0x20); i++)
        ;
    out8(0x3f8, (uint8_t)c);
}

static void put(const char *text)
{
    while (*text)
        put_char(*text++);
}

static void put_number(uint32_t n)
{
    char digits[11];
    int i = 10;

    digits[i] = '\0';
    do
        digits[--i] = (char)('0' + n % 10);
    while (n /= 10);
    put(digits + i);
}

static void put_hex(uint32_t n)
{
    put("0x");
    for (int shift = 28; shift >= 0; shift -= 4)
        put_char("0123456789abcdef"[n >> shift & 15]);
}

/* "t 12\n" */
static void put_count(const char *what, uint32_t n)
{
    put(what);
    put_char(' ');
    put_number(n);
    put_char('\n');
}

/* "CORRUPT at 0x00400000: 0x00000000, not 0x12345678\n" */
static void put_wrong(const char *what, uint32_t where, uint32_t found, uint32_t wanted)
{
    put(what);
    put(" at ");
    put_hex(where);
    put(": ");
    put_hex(found);
    put(", not ");
    put_hex(wanted);
    put_char('\n');
}

/* --- memory --- */

/* What stands in the word with this index; looks random, so that nothing compresses it. */
static uint32_t pattern(uint32_t index)
{
    uint32_t x = index * 0x9e3779b1u;

    x ^= x >> 15;
    return x * 0x85ebca77u;
}

/* How often this page has been written since it was filled.  The working set is written in a
 * circle, so this is known without a table, which a migration could lose together with the page. */
static uint32_t generation(const struct memory *m, uint32_t page)
{
    if (page >= m->ws_pages)
        return 0;
    return m->rounds + (page < m->next_dirty);
}

static void memory_fill(struct memory *m)
{
    for (uint32_t i = 0; i < m->pages * PAGE_WORDS; i++)
        m->word[i] = pattern(i);
}

/* Writes the generation into the first word of as many pages as this many ticks owe. */
static void memory_dirty(struct memory *m, uint32_t elapsed)
{
    if (!m->ws_pages)
        return;
    m->credit += elapsed * m->rate;
    while (m->credit >= PAGE / 1024 * HZ) {
        uint32_t index = m->next_dirty * PAGE_WORDS;

        m->credit -= PAGE / 1024 * HZ;
        m->word[index] = pattern(index) + m->rounds + 1;
        if (++m->next_dirty == m->ws_pages) {
            m->next_dirty = 0;
            m->rounds++;
        }
    }
}

static void compare(struct memory *m, uint32_t index, uint32_t wanted)
{
    uint32_t found = *(volatile uint32_t *)&m->word[index];

    if (found != wanted && m->complaints++ < MAX_COMPLAINTS)
        put_wrong("CORRUPT", (uint32_t)&m->word[index], found, wanted);
}

/* Compares a slice of the memory, so that all of it is seen in PASS_SECONDS.  The first word of
 * each page, which carries the generation, is part of every pass. */
static void memory_check(struct memory *m)
{
    uint32_t slice = m->pages / (HZ * PASS_SECONDS) + 1;

    for (; m->pages && slice; slice--) {
        uint32_t first = m->next_check * PAGE_WORDS;

        compare(m, first, pattern(first) + generation(m, m->next_check));
        for (uint32_t i = m->passes % PASS_STRIDE; i < PAGE_WORDS; i += PASS_STRIDE)
            if (i)
                compare(m, first + i, pattern(first + i));
        if (++m->next_check == m->pages) {
            m->next_check = 0;
            put_count("pass", ++m->passes);
            return;
        }
    }
}

/* --- the first IDE disk, by programmed I/O --- */

enum { ATA_ERROR = 1, ATA_DATA = 8, ATA_BUSY = 0x80, ATA_READ = 0x20, ATA_WRITE = 0x30 };

/* Starts a command on one sector and waits until data may be moved; false: no disk, or it failed.
 */
static bool disk_start(uint8_t command, uint32_t sector)
{
    for (int i = 0; i < 100000 && (in8(0x1f7) & ATA_BUSY); i++)
        ;
    out8(0x1f6, (uint8_t)(0xe0 | (sector >> 24 & 15)));
    out8(0x1f2, 1);
    out8(0x1f3, (uint8_t)sector);
    out8(0x1f4, (uint8_t)(sector >> 8));
    out8(0x1f5, (uint8_t)(sector >> 16));
    out8(0x1f7, command);
    for (;;) {
        uint8_t status = in8(0x1f7);

        if (status == 0 || status == 0xff || (!(status & ATA_BUSY) && (status & ATA_ERROR)))
            return false;
        if (!(status & ATA_BUSY) && (status & ATA_DATA))
            return true;
    }
}

/* Writes the seconds into the next sector of the circle; before that, what the last round wrote
 * there must still be there. */
static void disk_step(uint32_t sectors, uint32_t second)
{
    uint32_t sector = second % sectors, found = 0;

    if (second > sectors) {
        if (!disk_start(ATA_READ, sector)) {
            put_wrong("DISK", sector, 0, second - sectors);
            return;
        }
        for (int i = 0; i < 256; i++) {
            uint16_t half = in16(0x1f0);

            if (i < 2)
                found |= (uint32_t)half << (16 * i);
        }
        if (found != second - sectors)
            put_wrong("DISK", sector, found, second - sectors);
    }
    if (!disk_start(ATA_WRITE, sector)) {
        put_wrong("DISK", sector, 0, second);
        return;
    }
    for (int i = 0; i < 256; i++)
        out16(0x1f0, (uint16_t)(i % 2 ? second >> 16 : second));
}

/* --- the machine --- */

struct gate { /* an entry of the interrupt table */
    uint16_t low, selector;
    uint8_t zero, type;
    uint16_t high;
} __attribute__((packed));

struct table { /* what lidt takes */
    uint16_t limit;
    const void *base;
} __attribute__((packed));

extern void isr_timer(void), isr_other(void); /* start.S */

static struct gate gates[256];

static void gate_set(int n, void (*handler)(void))
{
    uint32_t at = (uint32_t)handler;

    gates[n] = (struct gate){
        .low = (uint16_t)at, .selector = 8, .type = 0x8e, .high = (uint16_t)(at >> 16)};
}

/* The timer at HZ on interrupt 32, everything else masked. */
static void clock_init(void)
{
    const uint16_t divisor = 1193182 / HZ;
    const struct table idt = {sizeof gates - 1, gates};

    for (int i = 0; i < 256; i++)
        gate_set(i, isr_other);
    gate_set(32, isr_timer);
    __asm__ volatile("lidt %0" ::"m"(idt));

    out8(0x20, 0x11); /* first interrupt controller: vectors from 32 */
    out8(0x21, 32);
    out8(0x21, 4);
    out8(0x21, 1);
    out8(0xa0, 0x11); /* second: from 40 */
    out8(0xa1, 40);
    out8(0xa1, 2);
    out8(0xa1, 1);
    out8(0x21, 0xfe); /* only the timer */
    out8(0xa1, 0xff);
    out8(0x43, 0x34); /* channel 0, rate generator */
    out8(0x40, (uint8_t)divisor);
    out8(0x40, divisor >> 8);
}

/* Sleeps until the tick count differs from `seen`. */
static uint32_t clock_wait(uint32_t seen)
{
    for (;;) {
        __asm__ volatile("cli");
        if (ticks != seen)
            break;
        __asm__ volatile("sti; hlt"); /* no interrupt gets in between these two */
    }
    __asm__ volatile("sti");
    return ticks;
}

enum { PM_STATUS = 0x600, PM_CONTROL = 0x604, PM_POWER_BUTTON = 0x100, PM_SLEEP = 0x2000 };

static void power_off(void)
{
    put("poweroff\n");
    out16(PM_CONTROL, PM_SLEEP);
    for (;;)
        __asm__ volatile("cli; hlt");
}

static void triple_fault(void)
{
    const struct table nothing = {0, 0};

    __asm__ volatile("lidt %0; int3" ::"m"(nothing));
}

/* The number behind "name=" among the words, or `unset`. */
static uint32_t option(const char *words, const char *name, uint32_t unset)
{
    for (const char *at = words; *at; at++) {
        const char *w = at, *n = name;
        uint32_t value = 0;

        if (at > words && at[-1] != ' ')
            continue;
        while (*n && *w == *n)
            w++, n++;
        if (*n || *w != '=')
            continue;
        for (w++; *w >= '0' && *w <= '9'; w++)
            value = value * 10 + (uint32_t)(*w - '0');
        return value;
    }
    return unset;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

void guest_main(const struct multiboot *boot)
{
    static char words[MAX_WORDS];
    static struct memory memory;
    uint32_t room = (boot->mem_upper / 1024 + 1) - (FILL_AT >> 20); /* MiB that may be filled */
    uint32_t ws, fill, off, crash, rot, disk, seen = 0, seconds = 0;
    bool button;

    for (int i = 0; (boot->flags & 4) && i < MAX_WORDS - 1; i++)
        if (!(words[i] = ((const char *)boot->words)[i]))
            break;
    ws = smaller(option(words, "ws", 0), room);
    fill = smaller(option(words, "fill", 0), room);
    off = option(words, "off", 0);
    crash = option(words, "crash", 0);
    rot = option(words, "rot", 0);
    disk = option(words, "disk", 0);
    button = !option(words, "noacpi", 0);

    serial_init();
    put("boot ");
    put(words);
    put_char('\n');

    memory.word = (uint32_t *)FILL_AT;
    memory.pages = (fill > ws ? fill : ws) * ((1 << 20) / PAGE);
    memory.ws_pages = ws * ((1 << 20) / PAGE);
    memory.rate = option(words, "rate", 0);
    memory_fill(&memory);

    clock_init();
    put("ready\n");
    for (;;) {
        uint32_t now = clock_wait(seen);

        memory_dirty(&memory, smaller(now - seen, HZ));
        memory_check(&memory);
        seen = now;
        if (button && (in16(PM_STATUS) & PM_POWER_BUTTON)) {
            out16(PM_STATUS, PM_POWER_BUTTON);
            power_off();
        }
        while (seconds < now / HZ) {
            put_count("t", ++seconds);
            if (disk)
                disk_step(disk, seconds);
            if (rot == seconds && memory.pages)
                memory.word[(memory.pages - 1) * PAGE_WORDS]++;
            if (off && seconds >= off)
                power_off();
            if (crash && seconds >= crash)
                triple_fault();
        }
    }
}
