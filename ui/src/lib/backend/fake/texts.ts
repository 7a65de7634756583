/** Texts of a fictional person, written for this fake; nobody's real words. */

export const letters: { title: string; text: string; language?: string; kind?: "pasted" | "document" | "email" | "chat" }[] = [
  {
    title: "The allotment shed",
    text: `So the shed roof has finally given up — not with a crash, just a slow sag, like somebody sitting down after a long shift. I went out on Sunday with a torch and a bucket — the bucket was optimism — and counted nine leaks before I stopped counting.

You said patch it. I think we should take the whole thing down. It was never straight, it was never dry, and the door has been a suggestion since 2019. What do you think — a day's work, two with tea?

I have a saw. I have opinions. What I don't have is anyone to hold the other end.`,
  },
  {
    title: "Re: Thursday",
    kind: "email",
    text: `Right — Thursday works, but not before four. I've the dentist at half two and I'll be no use to anyone for an hour after that, and I'd rather not dribble through the budget.

Could you bring the older drawings? Not the ones with the colour — the pencil ones, with your notes down the side. I trust those. The coloured ones look sure of themselves and I don't think we are yet.

If Tom wants to come, fine, but he should read the thing first. All of it — not the first page and then a confident tone.`,
  },
  {
    title: "Notes after the walk",
    text: `So here is what I thought about on the hill, in order: knees, sandwiches, whether my mother was ever actually lost or simply enjoyed telling it that way, sandwiches again.

It rained for the middle third. Nobody minds rain once they are wet — it's the getting wet people object to. I kept meaning to turn round. I kept not doing it. There was a heron standing in the ford like a disappointed umbrella, and I thought: well, one of us is dressed for this.

Anyway, eleven miles. I'd like that noted somewhere.`,
  },
  {
    title: "To the editor of the parish newsletter",
    kind: "document",
    text: `I read the piece about the bus with interest and some surprise. The 14 does not run "most hours". It runs at ten past nine and at ten to four, and on Wednesdays it considers the matter and stays at home.

I don't write to complain — well, I do, but usefully. Six of us have kept a list since March, with times. Would the newsletter print it? It would take a quarter of a page. People plan their chemist and their visits by that bus, and at present they plan them by rumour.`,
  },
  {
    title: "Message to Ines about the recipe",
    kind: "chat",
    text: `right so you want the lemon one — not the one from the tin, the other one. zest first, before you cut them, or you'll be chasing half a lemon round the board like I did at Easter. two eggs. sugar until you feel slightly guilty. then stop.

does your oven run hot? mine does, so when I say forty minutes I mean thirty-five and hovering.`,
  },
  {
    title: "On lending books",
    text: `I have stopped lending books and started giving them away, which comes to the same thing with less waiting. You get one shelf in this life that is truly yours — the rest is a corridor that other people's taste walks through.

The trouble was never the loss. It was the small bookkeeping of it: who has the Calvino, who has had it three years, who will now never mention Calvino in front of me again. A gift closes the account. You hand it over, you say "you'll like the middle", and you're free.

So — would you like the Calvino? It isn't mine. I'm told you'll like the middle.`,
  },
  {
    title: "Draft of the thank-you",
    text: `Thank you for the chair. I know you said it was nothing — it was in your way, you'd have put it out — but I've sat in it every evening since, and it has changed what time I go to bed. That is not nothing.

I've put it by the window with the bad latch. You can see the lane from there, and who is late.`,
  },
  {
    title: "Brief an die Vermieterin",
    language: "de",
    text: `Guten Tag, die Heizung im Flur wird seit Montag nicht mehr warm. Ich habe entlüftet, wie Sie es beim letzten Mal gezeigt haben, aber es gluckert nur. Könnten Sie diese Woche jemanden schicken? Vormittags bin ich immer da.`,
  },
  {
    title: "Minutes, more or less",
    kind: "document",
    text: `Present: five of us, and the dog. Apologies: Tom, who sent a photograph of a flat tyre as evidence.

We agreed the fence comes before the pond. We did not agree on the colour, and I propose we never do — unpainted oak goes grey by itself and asks no one's permission. The water butt is to be moved two metres north, by whoever keeps saying it should be moved two metres north.

Money: £212.40, of which £40 is a rumour. Next time at mine — bring a cup, mine are all handles.`,
  },
  {
    title: "ok",
    kind: "chat",
    text: `ok, back by six — don't wait with the soup`,
  },
  {
    title: "Letter to my younger cousin",
    text: `So you got the place. Good. I never doubted it — well, once, in February, but it was a grey sort of week and I doubted the toaster too.

Some advice, which you may leave in the envelope. Learn everyone's name in the first fortnight, because after that you can't ask. Find the second-best café, not the best one — you'll get a seat. Write things down in the order they happen, not in the order they matter; you won't know which is which until later. And ring your mother on a day that isn't Sunday. It counts double.

Is the room warm? Tell me if it isn't. I have a spare heater and no principles about posting it.`,
  },
  {
    title: "About the meeting, once more",
    kind: "email",
    text: `One more thing about Monday. I don't think Anna was being difficult — I think she'd read it, and the rest of us hadn't, and that makes a person sound difficult. Could we start again from her list? It's short, and the third point is the one we'll regret skipping.

I can write it up if nobody else wants to. I'd want till Friday, and I'd want you to say if it's dull.`,
  },
];

/** Openings that drafts are made of, one for each method; streamed word by word. */
export const draftTexts: Record<string, string> = {
  base: `I hope this message finds you well. I wanted to let you know that I will unfortunately not be able to attend the meeting on Saturday. I have a prior commitment that I am unable to reschedule. I apologise for any inconvenience this may cause and I look forward to hearing how the discussion goes. Please feel free to send me any notes or action items afterwards, and I would be happy to contribute to the next steps.`,
  hypotheses: `So — Saturday. I can't come, and I'd rather say it now than on Friday night with an excuse. My brother is moving and I have promised him both arms and the van. Could you start without me? I don't think the fence needs five people, it needs two people and a level. Tell me what you decide — the short version, then the true one.`,
  excerpts: `Right, about Saturday: I won't make it. I've said I would hold the other end of a wardrobe for my brother, and it's a tall house. You'll manage the fence — start at the corner that was never straight and work away from it. I can take the water butt on Sunday, if nobody has moved it two metres north by then.`,
  "hypotheses+excerpts": `So I can't do Saturday — my brother has a van, a deadline and one sister. I'm sorry, I'd have liked the fence. Would Sunday be any use? I can be there by ten, with the level and my opinions, and I'll do the corner nobody wants. If you go ahead without me, fine — but leave it unpainted. It'll go grey by itself.`,
  dimensions: `You can't come on Saturday, so say that first: "I can't make Saturday, I'm helping my brother move." Then offer one thing: "I can come on Sunday morning and do the corner post." That is enough. No need to explain the van.`,
  adapter: `So, Saturday — no. My brother's moving and I said yes in March, when it was a long way off. I don't like to miss the fence. Could someone else bring a level? Mine's in the shed, under the part of the roof that is still a roof.`,
};
